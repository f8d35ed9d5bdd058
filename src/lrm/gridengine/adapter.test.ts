import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../platform/clock.ts';
import type { CommandResult, ProcessRunner } from '../../platform/process.ts';
import type { GangRequest, Lrm } from '../lrm.ts';
import type { GridEngineSettings } from './section.ts';
import { gridEngine } from './gridengine.ts';

/** What the adapter asks Grid Engine's commands, and makes of their answers; a real one is in test/e2e/lrm-gridengine.test.ts. */

type Answer = string | Partial<CommandResult>;

let programDir: string;
beforeEach(() => {
  programDir = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
});
afterEach(() => rmSync(programDir, { recursive: true }));

/** An adapter whose commands answer by the beginning of their line; `asked`: their lines, `envs` their environments. */
function adapter(
  answers: Record<string, Answer>,
  settings: Partial<GridEngineSettings> = {},
  clock: Clock = systemClock,
): { lrm: Lrm; asked: string[]; inputs: (string | undefined)[]; envs: NodeJS.ProcessEnv[] } {
  const [asked, envs, inputs]: [string[], NodeJS.ProcessEnv[], (string | undefined)[]] = [[], [], []];
  const run: ProcessRunner['run'] = (argv, { env = {}, input } = { deadlineMs: 1 }) => {
    const line = argv.join(' ');
    asked.push(line);
    envs.push(env);
    inputs.push(input);
    const answer = answers[Object.keys(answers).find(each => line.startsWith(each)) ?? ''];
    if (answer === undefined) return Promise.reject(new Error(`nobody expected ${line}`));
    const told = typeof answer === 'string' ? { stdout: answer } : answer;
    return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '', ...told });
  };
  const usual = {
    root: '/none',
    parallelEnvironments: ['wsp', 'wsp4'],
    memoryResource: 'mem_free',
    programDir,
  };
  return { lrm: gridEngine({ ...usual, ...settings }, { run }, clock), asked, inputs, envs };
}

const environment = (name: string, slots: number): string =>
  `pe_name            ${name}\nallocation_rule    ${slots}\ncontrol_slaves     TRUE\n`;
const complexes = (consumable: string): string =>
  `#name shortcut type relop requestable consumable default urgency\nmem_free mf MEMORY <= YES ${consumable} 0 0\n`;
const facts = (consumable = 'YES'): Record<string, Answer> => ({
  'qconf -sp wsp4': environment('wsp4', 4),
  'qconf -sp wsp': environment('wsp', 2),
  'qconf -sc': complexes(consumable),
});

const queue = (name: string, limit: string, notify: string, environments = 'make wsp'): string =>
  `qname                 ${name}\nhostlist              @all\nnotify                ${notify},[n01=00:00:01]\npe_list               ${environments}, \\\n                      other\nh_rt                  ${limit}\n`;
const host = (
  name: string,
  queueName: string,
  more: { memory?: string; used?: number; slots?: number; state?: string },
): string =>
  `<host name='${name}'><hostvalue name='mem_total'>${more.memory ?? '4.000G'}</hostvalue>
   <queue name='${queueName}'><queuevalue qname='${queueName}' name='slots_used'>${more.used ?? 0}</queuevalue><queuevalue qname='${queueName}' name='slots'>${more.slots ?? 8}</queuevalue><queuevalue qname='${queueName}' name='state_string'>${more.state ?? ''}</queuevalue></queue></host>`;
const hosts = (...all: readonly string[]): string => `<?xml version='1.0'?><qhost>${all.join('')}</qhost>`;

describe('what a site of Grid Engine has', () => {
  const answers = {
    ...facts(),
    'qconf -sql': 'all.q\nbig.q\n',
    'qconf -sq':
      queue('all.q', '01:00:00', '00:00:40') +
      queue('big.q', '02:00:00', '00:00:20') +
      queue('o.q', '1', '1', 'make'),
    'qhost -q -F mem_free -xml': hosts(
      host('n01', 'all.q', {}),
      host('n02', 'big.q', { used: 1 }),
      host('n03', 'o.q', { memory: '64.0G' }),
    ),
  };

  it('is that of the queues that have its parallel environments', async () => {
    const { lrm, asked } = adapter(answers);
    expect(await lrm.capabilities()).toEqual({
      nodes: 2,
      idleNodes: 1,
      memoryMiBPerNode: 4_096,
      // No more than the largest of the parallel environments gives.
      cpusPerNode: 4,
      maxWalltimeMs: 7_200_000,
      killDelayMs: 20_000,
      nodeNameEnv: ['HOSTNAME'],
      jobEndEnv: [],
      walltimeStepMs: 1_000,
    });
    expect(asked).toContain('qconf -sq all.q,big.q');
    expect(lrm.kind).toBe('gridengine');
  });

  it('has no longest job when one of its queues has no limit, a minute’s warning when one says nothing, and sizes when there are several', async () => {
    const { lrm } = adapter({
      ...answers,
      'qconf -sq': queue('all.q', 'INFINITY', 'NONE') + queue('big.q', '02:00:00', '00:01:30'),
      'qhost -q -F mem_free -xml': hosts(
        host('n01', 'all.q', { slots: 2 }),
        host('n02', 'big.q', { memory: '2.000G' }),
      ),
    });
    const told = await lrm.capabilities();
    expect(told).not.toHaveProperty('maxWalltimeMs');
    expect(told).toMatchObject({
      killDelayMs: 60_000,
      sizes: [
        { nodes: 1, idleNodes: 1, memoryMiB: 4_096, cpus: 2 },
        { nodes: 1, idleNodes: 1, memoryMiB: 2_048, cpus: 4 },
      ],
    });
  });

  it('is that of the site’s queue alone; one without the environments, or that is not there, is refused', async () => {
    const own = { ...answers, 'qconf -sq': queue('big.q', '02:00:00', '00:00:20') };
    const { lrm, asked } = adapter(own, { queue: 'big.q' });
    expect(await lrm.capabilities()).toMatchObject({ nodes: 1, maxWalltimeMs: 7_200_000 });
    expect(asked).toContain('qconf -sq big.q');
    expect(asked).not.toContain('qconf -sql');
    const without = { ...answers, 'qconf -sq': queue('big.q', '1', '1', 'make wsp2') };
    await expect(adapter(without, { queue: 'big.q' }).lrm.capabilities()).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('queue big.q is not one that has') as string,
    });
    await expect(adapter(without).lrm.capabilities()).rejects.toThrow(
      'no queue has a parallel environment of wsp, wsp4',
    );
    const none = {
      ...answers,
      'qconf -sq': { code: 1, stderr: 'No cluster queue or queue instance matches the phrase "x"' },
    };
    await expect(adapter(none, { queue: 'x' }).lrm.capabilities()).rejects.toThrow(
      /^lrm.queue x: No cluster queue/,
    );
  });

  it('is asked for again, and a parallel environment that is not there is told by its name', async () => {
    const { lrm } = adapter({
      ...answers,
      'qconf -sp wsp4': { code: 1, stderr: 'parallel environment "wsp4" does not exist' },
    });
    await expect(lrm.capabilities()).rejects.toThrow(/lrm.parallelEnvironments has wsp4: .*does not exist/);
  });
});

describe('the commands of Grid Engine', () => {
  it('run in the site’s cell, with times in UTC, and with no more of the environment', async () => {
    const cell = {
      root: '/opt/sge',
      cell: 'vms',
      qmasterPort: 6_444,
      execdPort: 6_445,
      binDir: '/opt/sge/bin',
    };
    const { lrm, asked, envs } = adapter({ '/opt/sge/bin/qdel 5': 'deleted' }, cell);
    await lrm.cancel('5');
    expect(asked).toEqual(['/opt/sge/bin/qdel 5']);
    const own = {
      SGE_ROOT: '/opt/sge',
      SGE_CELL: 'vms',
      SGE_QMASTER_PORT: '6444',
      SGE_EXECD_PORT: '6445',
      TZ: 'UTC',
    };
    expect(envs[0]).toMatchObject({ ...own, PATH: process.env['PATH'] });
    expect(envs[0]).not.toHaveProperty('NODE_ENV');
    const { lrm: bare, envs: inherited } = adapter({ qdel: 'deleted' }, { root: undefined });
    await bare.cancel('5');
    expect(inherited[0]).toMatchObject({ TZ: 'UTC', SGE_CELL: process.env['SGE_CELL'] });
  });

  it('give a running job no more time', async () => {
    await expect(adapter({}).lrm.extend('5', 1)).rejects.toMatchObject({ kind: 'refused' });
  });
});

describe('a gang that is submitted', () => {
  const request: GangRequest = {
    jobName: 'wsp-slot-a',
    nodes: 2,
    memoryMiBPerNode: 300,
    cpusPerNode: 3,
    walltimeMs: 60_000,
    options: [],
    program: 'the program',
  };
  const args = (memory: string): string =>
    `-terse -N wsp-slot-a -notify -r n -pe wsp4 8 -l ${memory},h_rt=60`;
  const unfit = { code: 1, stderr: 'Unable to run job: error: no suitable queues.\nExiting.\n' };
  const qsubs = (asked: readonly string[]): readonly string[] =>
    asked.filter(line => line.startsWith('qsub')).map(line => line.split(' ')[2] ?? '');

  it('is checked by qsub itself; its program is in a file, and not in its script', async () => {
    const { lrm, asked, inputs } = adapter({ ...facts(), 'qsub -w e': '17\n' }, { node: '/opt/node' });
    expect(await lrm.submit(request)).toBe('17');
    expect(asked.at(-1)).toContain(`qsub -w e ${args('mem_free=75M')}`);
    expect(inputs.at(-1)).toContain(`/opt/node ${programDir}/wsp-slot-a.cjs`);
    expect(inputs.at(-1)).not.toContain('the program');
    expect(readFileSync(join(programDir, 'wsp-slot-a.cjs'), 'utf8')).toBe('the program');
  });

  it('that seems unfit is asked about again before that is believed, first of an empty site, then of this one', async () => {
    const fits = adapter({
      ...facts(),
      'qsub -w e': unfit,
      'qsub -w v': 'verification: found suitable queue(s)',
      'qsub -w n': '18\n',
    });
    expect(await fits.lrm.submit(request)).toBe('18');
    expect(qsubs(fits.asked)).toEqual(['e', 'v', 'n']);
    const now = adapter({
      ...facts(),
      'qsub -w e': unfit,
      'qsub -w v': unfit,
      'qsub -w p': 'found',
      'qsub -w n': '19\n',
    });
    expect(await now.lrm.submit(request)).toBe('19');
    expect(qsubs(now.asked)).toEqual(['e', 'v', 'p', 'n']);
  });

  it('that is unfit is refused, with what stands in the way', async () => {
    const said = `Job 5 (-l mem_free=75M) cannot run in queue "all.q" because of cluster queue\nverification: no suitable queues\n`;
    const never = { code: 1, stdout: said };
    const { lrm, asked } = adapter({
      ...facts(),
      'qsub -w e': unfit,
      'qsub -w v': never,
      'qsub -w p': unfit,
    });
    await expect(lrm.submit(request)).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(
        /^Grid Engine would not run the job: .*not for what was asked for/,
      ) as string,
    });
    expect(qsubs(asked)).toEqual(['e', 'v', 'p']);
    const nothing = adapter({ ...facts(), 'qsub -w v': unfit, 'qsub -w p': unfit });
    await expect(nothing.lrm.dryRun(request)).rejects.toThrow('would not run the job: no suitable queues');
  });

  it('whose memory is only measured is looked at as if nodes had theirs, and submitted without a check', async () => {
    const { lrm, asked } = adapter({ ...facts('NO'), 'qsub -w v': '', 'qsub -w n': '20\n' });
    expect(await lrm.submit(request)).toBe('20');
    expect(qsubs(asked)).toEqual(['v', 'n']);
    expect(asked.at(-2)).toContain(args('mem_total=300M'));
    expect(asked.at(-1)).toContain(args('mem_free=300M'));
  });

  it('is looked at as it is where its memory is counted, and is not submitted by a dry run', async () => {
    const { lrm, asked } = adapter({ ...facts('HOST'), 'qsub -w v': '' });
    await lrm.dryRun(request);
    expect(qsubs(asked)).toEqual(['v']);
    expect(asked.at(-1)).toContain(args('mem_free=300M'));
  });

  it.each<[Answer, string, string]>([
    [
      { code: 1, stdout: 'denied: job rejected\n' },
      'unavailable',
      'Grid Engine did not take the job: job rejected',
    ],
    [{ code: 25, stderr: 'x' }, 'deferred', 'Grid Engine did not take the job: x'],
    [{ code: 7 }, 'unavailable', 'Grid Engine did not take the job: exit code 7 and printed nothing'],
    ['Welcome\n', 'unavailable', 'Grid Engine did not take the job: Welcome'],
  ])('that qsub does not take (%j) is %s', async (answer, kind, message) => {
    const { lrm } = adapter({ ...facts(), 'qsub -w e': answer });
    await expect(lrm.submit(request)).rejects.toMatchObject({ kind, message });
  });

  it('is taken though qsub says something else, too', async () => {
    const warned = {
      stderr: 'warning: no queue yet\n',
      stdout: 'Your job 21 ("wsp-slot-a") has been submitted\n',
    };
    expect(await adapter({ ...facts(), 'qsub -w e': warned }).lrm.submit(request)).toBe('21');
    expect(await adapter({ ...facts(), 'qsub -w e': 'Welcome\n22\n' }).lrm.submit(request)).toBe('22');
  });

  it('has the site’s facts asked for once a minute, and again when they could not be read', async () => {
    let now = 0;
    const clock = { ...systemClock, monotonicMs: () => now };
    const answers: Record<string, Answer> = { ...facts(), 'qsub -w e': '17\n', 'qconf -sc': { code: 1 } };
    const { lrm, asked } = adapter(answers, {}, clock);
    const times = (): number => asked.filter(line => line === 'qconf -sc').length;
    await expect(lrm.submit(request)).rejects.toMatchObject({ kind: 'unavailable' });
    answers['qconf -sc'] = complexes('YES');
    await lrm.submit(request);
    now = 60_000;
    await lrm.submit(request);
    expect(times()).toBe(2);
    now = 60_001;
    await lrm.submit(request);
    expect(times()).toBe(3);
  });
});

describe('why jobs wait', () => {
  const owner = userInfo().username;
  const job = (id: number, state: string, more = ''): string =>
    `<job_list><JB_job_number>${id}</JB_job_number><JB_name>wsp-slot-${id}</JB_name><JB_owner>${owner}</JB_owner><state>${state}</state>${more}</job_list>`;
  const list = (...jobs: readonly string[]): string =>
    `<?xml version='1.0'?><job_info><queue_info>${jobs.join('')}</queue_info></job_info>`;
  const message = (text: string, id: number): string =>
    `<element><MES_job_number_list><ulong_sublist><ULNG_value>${id}</ULNG_value></ulong_sublist></MES_job_number_list><MES_message>${text}</MES_message></element>`;
  const details = (jobs: string, remarks: string): string =>
    `<?xml version='1.0'?><detailed_job_info><djob_info>${jobs}</djob_info><messages><element><SME_message_list>${remarks}</SME_message_list></element></messages></detailed_job_info>`;
  const detail = (id: number, more: string): string =>
    `<element><JB_job_number>${id}</JB_job_number>${more}</element>`;
  const clock = { ...systemClock, now: () => Date.UTC(2026, 0, 1) };
  const listed = async (answers: Record<string, Answer>) => {
    const { lrm, asked } = adapter(
      { ...answers, 'qstat -xml -s': list(), qselect: answers['qselect'] ?? { code: 1 } },
      {},
      clock,
    );
    return { jobs: await lrm.list(), asked };
  };

  it('is that somebody holds them: the highest of those who do', async () => {
    const { jobs, asked } = await listed({
      'qstat -xml -r': list(job(1, 'hqw'), job(2, 'hqw'), job(3, 'hqw')),
      'qstat -xml -j 1,2,3': details('', ''),
      'qstat -xml -s hu': list(job(1, 'hqw'), job(2, 'hqw')),
      'qstat -xml -s ho': list(job(2, 'hqw')),
      'qstat -xml -s hs': { code: 1 },
    });
    expect(jobs.map(({ reason, outlook }) => [reason, outlook])).toEqual([
      [expect.stringMatching(/user/), 'needs-somebody'],
      [expect.stringMatching(/operator/), 'needs-somebody'],
      ['the job is held: by an array dependency, or by an administrator', 'needs-somebody'],
    ]);
    expect(asked[0]).toBe(`qstat -xml -r -g t -u ${owner}`);
    expect(asked).toContain(`qstat -xml -s ho -u ${owner}`);
  });

  it('is another job, an error, a time, or what the scheduler says', async () => {
    const begins = Date.UTC(2026, 0, 1) / 1_000;
    const error =
      '<JB_ja_tasks><ulong_sublist><JAT_message_list><ulong_sublist><QIM_message>11/27/2026 23:06:05 [0:696]: error: no such file</QIM_message></ulong_sublist></JAT_message_list></ulong_sublist></JB_ja_tasks>';
    const { jobs, asked } = await listed({
      'qstat -xml -r': list(
        job(1, 'hqw', '<predecessor_jobs>7</predecessor_jobs><predecessor_jobs>8</predecessor_jobs>'),
        ...[job(2, 'Eqw'), job(3, 'Eqw'), job(4, 'qw'), job(5, 'qw'), job(6, 'qw')],
      ),
      'qstat -xml -j': details(
        detail(2, error) +
          detail(4, `<JB_execution_time>${begins + 60}</JB_execution_time>`) +
          detail(5, `<JB_execution_time>${begins}</JB_execution_time>`),
        message('queue instance "all.q@n01" dropped because it is full', 5),
      ),
    });
    const aside = 'Grid Engine could not start it and has set it aside';
    const again = '; an administrator can let it try again (qmod -cj)';
    expect(jobs.map(({ jobId, reason, outlook }) => [jobId, reason, outlook])).toEqual([
      ['1', 'it waits for job 7, 8 to end (hold_jid)', 'passes'],
      ['2', `${aside}: no such file${again}`, 'needs-somebody'],
      ['3', `${aside}${again}`, 'needs-somebody'],
      ['4', expect.stringMatching(/^it is not to start before 2026-01-01T00:01:00.*\(qsub -a\)$/), 'passes'],
      ['5', 'it waits for nodes to become free: all.q@n01 is full', 'passes'],
      ['6', 'it waits for nodes to become free', undefined],
    ]);
    // None of them is held by somebody; and no queue is not available.
    expect(asked.some(line => /-s h|^qhost/.test(line))).toBe(false);
    expect(jobs[0]).not.toHaveProperty('isHeld');
  });

  it('is the state of a queue that is not available, which is asked for', async () => {
    const remarks = message('queue instance "all.q@n01" dropped because it is temporarily not available', 1);
    const answers = { 'qstat -xml -r': list(job(1, 'qw')), 'qstat -xml -j': details('', remarks) };
    const disabled = { 'qhost -q -xml': hosts(host('n01', 'all.q', { state: 'd' })) };
    const { jobs } = await listed({ ...answers, ...disabled });
    expect(jobs[0]).toMatchObject({
      outlook: 'needs-somebody',
      reason: expect.stringMatching(/disabled/) as string,
    });
    const unknown = await listed({ ...answers, 'qhost -q -xml': { code: 1 } });
    expect(unknown.jobs[0]?.reason).not.toMatch(/disabled/);
  });

  it('is not known when a job has gone meanwhile, and is not asked for jobs that run', async () => {
    const gone = await listed({
      'qstat -xml -r': list(job(1, 'qw')),
      'qstat -xml -j': { code: 1, stdout: 'no XML' },
    });
    expect(gone.jobs).toMatchObject([{ state: 'waiting', reason: 'it waits for nodes to become free' }]);
    const running = await listed({
      'qstat -xml -r': list(job(1, 'r', '<queue_name>all.q@n01</queue_name>')),
    });
    expect(running.asked).toEqual([`qstat -xml -r -g t -u ${owner}`, 'qselect -qs u']);
  });

  it('is their prolog until their script has begun; nodes that are silent are told', async () => {
    writeFileSync(join(programDir, 'wsp-slot-2.said'), '');
    const { jobs } = await listed({
      'qstat -xml -r': list(
        job(1, 'r', '<queue_name>all.q@n01</queue_name>'),
        job(2, 'r', '<queue_name>all.q@n02</queue_name>'),
        job(3, 't', '<queue_name>all.q@n03</queue_name>'),
        job(4, 's', '<queue_name>all.q@n04</queue_name>'),
      ),
      qselect: 'all.q@n04\nbig.q@n09\n',
    });
    const prolog = 'Grid Engine makes its nodes ready (the prolog runs)';
    expect(jobs.map(({ jobId, state, reason }) => [jobId, state, reason])).toEqual([
      ['1', 'starting', prolog],
      ['2', 'running', undefined],
      ['3', 'starting', prolog],
      ['4', 'suspended', 'Grid Engine does not hear of n04 any more'],
    ]);
  });
});
