import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import { CommandFailure, type CommandResult, type ProcessRunner } from '../../platform/process.ts';
import type { GangRequest } from '../lrm.ts';
import { pbs } from './pbs.ts';
import type { PbsSettings } from './section.ts';

/** The adapter on what real servers answered (fixtures/); what takes processes is in the contract (test/e2e/lrm-pbs.test.ts). */

const request: GangRequest = {
  jobName: 'wsp-slot-aaaaaaaaaa',
  nodes: 2,
  memoryMiBPerNode: 64,
  cpusPerNode: 1,
  walltimeMs: 60_000,
  options: [],
  program: '',
};
const kind = (expected: string) => expect.objectContaining({ name: 'LrmError', kind: expected });
const user = userInfo().username;

/** A recorded answer: a line with the command, what it printed, its exit code. The recorded user is ours. */
function recorded(path: string): CommandResult {
  const text = readFileSync(new URL(`fixtures/${path}.txt`, import.meta.url), 'utf8').replace(
    /\b(?:pbsuser|wsp)@/g,
    `${user}@`,
  );
  const [, body = '', code = '0'] =
    /^(?:time of [^\n]*\n)?(?:\$ [^\n]*\n)?(.*?)(?:\[exit (\d+)\]\n)?$/s.exec(text) ?? [];
  const isSaid = (line: string): boolean => /^(q\w+: |Connection refused|Communication failure)/.test(line);
  const lines = body.split('\n');
  return {
    code: Number(code),
    signal: null,
    stdout: lines.filter(line => !isSaid(line)).join('\n'),
    stderr: lines.filter(isSaid).join('\n'),
  };
}

/** What OpenPBS prints when it has nothing to tell. */
const nothing = '{\n\t"timestamp":\t1,\n\t"pbs_version":\t"23",\n\t"pbs_server":\t"pbss"\n}\n';
const unknownJob = (jobId: string) => ({ code: 153, stderr: `qstat: Unknown Job Id ${jobId}\n` });

async function withPrograms(test: (programDir: string) => Promise<void>): Promise<void> {
  const programDir = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
  try {
    await test(programDir);
  } finally {
    rmSync(programDir, { recursive: true });
  }
}

const good = (stdout: string): CommandResult => ({ code: 0, signal: null, stdout, stderr: '' });

/** An adapter whose commands answer by their name and arguments, `qstat -x 5.pbss`; what they were asked is kept. */
function adapter(
  dialect: PbsSettings['dialect'],
  answers: Readonly<Record<string, CommandResult>>,
  programDir = '/nonexistent/wsp',
) {
  const asked: string[] = [];
  const run: ProcessRunner['run'] = ([command, ...args]) => {
    const line = [command, ...args].join(' ');
    asked.push(line);
    const name = Object.keys(answers).find(each => line === each || line.startsWith(`${each} `));
    const answer = name === undefined ? undefined : answers[name];
    return answer ? Promise.resolve(answer) : Promise.reject(new Error(`nobody expected ${line}`));
  };
  return { lrm: pbs({ dialect, programDir }, { run }, systemClock), asked, answers };
}

describe('OpenPBS', () => {
  const site = {
    'qstat -B': recorded('openpbs/qstat-server'),
    'qstat -Q': recorded('openpbs/qstat-queues'),
    pbsnodes: recorded('openpbs/pbsnodes-one-offline'),
  };

  it('says what it can give: the kill delay is the queue’s, a node that is offline is not idle', async () => {
    expect(await adapter('openpbs', site).lrm.capabilities()).toEqual({
      nodes: 2,
      idleNodes: 1,
      memoryMiBPerNode: 24_105,
      cpusPerNode: 2,
      killDelayMs: 8_000,
      nodeNameEnv: ['HOSTNAME'],
      jobEndEnv: [],
      walltimeStepMs: 1_000,
    });
  });

  it('asks for the history of jobs that have left the list, all in one query, and remembers it', async () => {
    const answers: Record<string, CommandResult> = { 'qstat -u': recorded('openpbs/qstat-all') };
    const { lrm, asked } = adapter('openpbs', answers);
    expect((await lrm.list()).map(({ jobId, state }) => [jobId, state])).toEqual([
      ['11.pbss', 'running'],
      ['12.pbss', 'waiting'],
    ]);
    answers['qstat -u'] = good(nothing);
    answers['qstat -x'] = { ...recorded('openpbs/qstat-finished-after-qdel'), ...unknownJob('12.pbss') };
    const [ended, ...others] = await lrm.list();
    expect(ended).toMatchObject({ jobId: '11.pbss', state: 'cancelled' });
    expect(ended?.reason).toBe(`the job was deleted by ${user}@pbss (qdel)`);
    expect(others).toEqual([]);
    expect(asked.at(-1)).toBe('qstat -x -f -F json 11.pbss 12.pbss');
    // Both are known now: the server knows nothing of the other.
    for (let round = 0; round < 5; round += 1) expect(await lrm.list()).toEqual([ended]);
    expect(asked.filter(line => line.startsWith('qstat -x'))).toHaveLength(1);
  });

  it('asks a server without history whether it knows the job at all', async () => {
    const answers: Record<string, CommandResult> = { 'qstat -u': recorded('openpbs/qstat-running-2nodes') };
    const { lrm, asked } = adapter('openpbs', answers);
    await lrm.list();
    answers['qstat -u'] = good(nothing);
    answers['qstat -x'] = {
      ...good(nothing),
      stderr: 'qstat: PBS is not configured to maintain job history\n',
    };
    answers['qstat -f'] = { ...good(nothing), ...unknownJob('11.pbss') };
    expect(await lrm.list()).toEqual([]);
    expect(asked.at(-1)).toBe('qstat -f -F json 11.pbss');
    await lrm.list();
    expect(asked.at(-1)).toBe(`qstat -u ${user} -f -F json`);
  });

  it('site S1: takes no job for gone because of a qstat that has failed, whatever it printed', async () => {
    const answers: Record<string, CommandResult> = { 'qstat -u': recorded('openpbs/qstat-running-2nodes') };
    const { lrm } = adapter('openpbs', answers);
    await lrm.list();
    answers['qstat -u'] = good(nothing);
    for (const code of [1, 139, 162]) {
      answers['qstat -x'] = { ...good(nothing), code };
      await expect(lrm.list()).rejects.toEqual(kind('unavailable'));
    }
  });

  it.each(['openpbs/qstat-server-down', 'openpbs-real/qstat-server-down-real'])(
    'site S1: does not take an outage for an empty list: %s',
    async file => {
      const { lrm } = adapter('openpbs', { 'qstat -u': recorded(file) });
      await expect(lrm.list()).rejects.toEqual(kind('unavailable'));
    },
  );

  it('site S1: a server that dies between two questions has not ended the jobs of the first', async () => {
    const answers: Record<string, CommandResult> = { 'qstat -u': recorded('openpbs/qstat-running-2nodes') };
    const { lrm, asked } = adapter('openpbs', answers);
    await lrm.list();
    answers['qstat -u'] = good(nothing);
    for (const dead of [
      recorded('openpbs-real/qstat-server-down-real'),
      { ...good(nothing), code: 255, stderr: 'qstat: End of File' },
      // Of the job, neither that it is there nor that it is not.
      good(nothing),
    ]) {
      answers['qstat -x'] = dead;
      await expect(lrm.list()).rejects.toEqual(kind('unavailable'));
    }
    answers['qstat -x'] = recorded('openpbs/qstat-finished-after-qdel');
    expect(await lrm.list()).toMatchObject([{ jobId: '11.pbss', state: 'cancelled' }]);
    expect(asked.filter(line => line.startsWith('qstat -x'))).toHaveLength(4);
  });

  it('site S8: the last words of a job that failed are in its reason, once', async () => {
    await withPrograms(async programDir => {
      const answers: Record<string, CommandResult> = { 'qstat -u': recorded('openpbs/qstat-running-2nodes') };
      const { lrm } = adapter('openpbs', answers, programDir);
      await lrm.list();
      const left = ['cjs', 'said'].map(ending => join(programDir, `wsp-slot1.${ending}`));
      for (const path of left)
        writeFileSync(path, `${'noise\n'.repeat(1_000)}/bin/sh: 9:\n/no/node: not found\n`);
      answers['qstat -u'] = good(nothing);
      const failed = recorded('openpbs/qstat-finished-exit1');
      answers['qstat -x'] = {
        ...failed,
        stdout: failed.stdout.replace(/"\d+\.pbss":/, '"11.pbss":').replace(/wsp-[\w-]+/, 'wsp-slot1'),
      };
      const reason = 'a pilot ended with exit code 1: noise; noise; noise; /bin/sh: 9:; /no/node: not found';
      for (const _ of [1, 2]) expect(await lrm.list()).toMatchObject([{ state: 'failed', reason }]);
      for (const path of left) expect(existsSync(path)).toBe(false);
    });
  });

  it('pbs 8: the program of a job that never ran goes with it', async () => {
    await withPrograms(async programDir => {
      const answers = { ...site, qsub: good('11.pbss\n'), qdel: good(''), 'qstat -u': good(nothing) };
      const { lrm } = adapter('openpbs', answers, programDir);
      const file = join(programDir, `${request.jobName}.cjs`);
      await lrm.submit({ ...request, nodes: 1 });
      expect(existsSync(file)).toBe(true);
      await lrm.cancel('11.pbss');
      expect(existsSync(file)).toBe(false);
    });
  });

  it('pbs 8: the program of a job that runs stays when that is cancelled: its nodes may still read it', async () => {
    await withPrograms(async programDir => {
      const answers = { 'qstat -u': recorded('openpbs/qstat-running-2nodes'), qdel: good('') };
      const { lrm } = adapter('openpbs', answers, programDir);
      const [job] = await lrm.list();
      const file = join(programDir, `${job?.jobName}.cjs`);
      writeFileSync(file, '');
      await lrm.cancel(job?.jobId ?? '');
      expect(existsSync(file)).toBe(true);
    });
  });

  it('report 4: a job of another user with our job’s name is never ours', async () => {
    const { stdout } = recorded('openpbs/qstat-running-2nodes');
    const foreign = good(stdout.replace(`${user}@`, 'mallory@'));
    const { lrm } = adapter('openpbs', { 'qstat -u': foreign });
    expect(await lrm.list()).toEqual([]);
  });

  it('report 1: a qdel that PBS could not answer is not done', async () => {
    const down = { ...good(''), code: 162, stderr: 'qdel: cannot connect to server pbss (errno=15010)' };
    const strange = { ...good(''), code: 1, stderr: 'qdel: Bus error' };
    for (const qdel of [down, strange])
      await expect(adapter('openpbs', { qdel }).lrm.cancel('11.pbss')).rejects.toEqual(kind('unavailable'));
  });

  it('report 1: a limit of jobs in the queue is worth another try', async () => {
    await withPrograms(async programDir => {
      const said = "qsub: would exceed queue vms's per-user limit of jobs in 'Q' state\n";
      const answers = { ...site, qsub: { ...good(''), code: 38, stderr: said } };
      const submitted = adapter('openpbs', answers, programDir).lrm.submit({ ...request, nodes: 1 });
      await expect(submitted).rejects.toEqual(kind('deferred'));
      await expect(submitted).rejects.toThrow(
        /does not accept the job at this moment: would exceed queue vms's/,
      );
    });
  });

  it('site S2: knows nodes of several sizes', async () => {
    const { stdout } = recorded('openpbs-real/pbsnodes-real');
    const big = good(stdout.replace('"mem":\t"1400mb"', '"mem":\t"64gb"').replace('"free"', '"offline"'));
    const { lrm } = adapter('openpbs', { ...site, pbsnodes: big });
    expect(await lrm.capabilities()).toMatchObject({
      nodes: 3,
      idleNodes: 2,
      memoryMiBPerNode: 65_536,
      sizes: [
        { nodes: 2, idleNodes: 2, memoryMiB: 1_400, cpus: 4 },
        { nodes: 1, idleNodes: 0, memoryMiB: 65_536, cpus: 4 },
      ],
    });
  });

  it('site S10: an administrator’s words on a node make no other node', async () => {
    const { stdout } = recorded('openpbs-real/pbsnodes-real');
    const comment = JSON.stringify('down\n"},\n\t\t"n04":\t{"state":"free');
    const words = good(stdout.replace('"ntype":', `"comment":\t${comment},\n\t\t\t"ntype":`));
    expect((await adapter('openpbs', { ...site, pbsnodes: words }).lrm.capabilities()).nodes).toBe(3);
    const broken = good(stdout.replace('"ntype":', '"comment":\t"it\'s "out"",\n\t\t\t"ntype":'));
    await expect(adapter('openpbs', { ...site, pbsnodes: broken }).lrm.capabilities()).rejects.toEqual(
      kind('unavailable'),
    );
  });

  it('site S5: a dry run asks for the queue and its limits', async () => {
    const queues = good(
      JSON.stringify({
        pbs_server: 'pbss',
        Queue: {
          workq: { resources_max: { walltime: '00:00:30' }, enabled: 'True' },
          closed: { enabled: 'False' },
        },
      }),
    );
    const { lrm } = adapter('openpbs', { ...site, 'qstat -Q': queues });
    const asked = { ...request, nodes: 1 };
    await expect(lrm.dryRun({ ...asked, queue: 'nowhere' })).rejects.toThrow('PBS has no queue nowhere');
    await expect(lrm.dryRun({ ...asked, queue: 'closed' })).rejects.toEqual(kind('deferred'));
    await expect(lrm.dryRun({ ...asked, queue: 'workq' })).rejects.toThrow(/longest job .* is 30s/);
    await lrm.dryRun({ ...asked, queue: 'workq', walltimeMs: 30_000 });
  });

  it('reads 500 jobs of one answer, those of other users left out', async () => {
    const one = JSON.parse(recorded('openpbs/qstat-running-2nodes').stdout) as {
      Jobs: Record<string, object>;
    };
    const job = one.Jobs['11.pbss'];
    const of = (owner: string) => ({ ...job, Job_Owner: `${owner}@pbss` });
    const jobs = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`${n}.pbss`, of(user)]));
    const all = JSON.stringify({ ...one, Jobs: { ...jobs, '900.pbss': of('somebody.else') } });
    const { lrm, asked } = adapter('openpbs', { 'qstat -u': good(all) });
    expect(await lrm.list()).toHaveLength(500);
    expect(asked).toHaveLength(1);
  });

  it.each([
    ['unknown queue', 'qsub-unknown-queue', 'refused', 'PBS refused the job: Unknown queue'],
    ['bad resource', 'qsub-bad-resource', 'refused', /Illegal attribute or resource value select.ncpus/],
    ['server that is down', 'qsub-server-down', 'unavailable', /cannot connect to server pbss/],
  ] as const)('passes on a qsub with an %s', async (_, file, expected, words) => {
    const programDir = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
    const answers: Record<string, CommandResult> = { ...site, qsub: recorded(`openpbs/${file}`) };
    const run: ProcessRunner['run'] = ([command]) => Promise.resolve(answers[command] ?? good(''));
    const { submit } = pbs({ dialect: 'openpbs', programDir }, { run }, systemClock);
    await expect(submit(request)).rejects.toEqual(kind(expected));
    await expect(submit(request)).rejects.toThrow(words);
    rmSync(programDir, { recursive: true });
  });

  it('has a job that no nodes could run refused, and not wait for ever', async () => {
    const { lrm, asked } = adapter('openpbs', site);
    await expect(lrm.submit({ ...request, cpusPerNode: 3 })).rejects.toThrow(/0 of 2 nodes have as much/);
    await expect(lrm.submit({ ...request, nodes: 3 })).rejects.toEqual(kind('refused'));
    expect(asked.every(line => line.startsWith('pbsnodes'))).toBe(true);
  });

  it.each(['qdel-running', 'qdel-twice', 'qdel-finished', 'qdel-unknown'])('does not mind %s', async file => {
    await adapter('openpbs', { qdel: recorded(`openpbs/${file}`) }).lrm.cancel('11.pbss');
  });

  it('says that an extension is for operators, in the words of PBS', async () => {
    const { lrm } = adapter('openpbs', {
      'qstat -u': recorded('openpbs/qstat-running-2nodes'),
      'qalter -l walltime=00:20:00 11.pbss': {
        ...good(''),
        code: 159,
        stderr: 'qalter: Unauthorized Request  11.pbss',
      },
    });
    const extended = lrm.extend('11.pbss', Date.UTC(2026, 10, 22, 12, 12, 48));
    await expect(extended).rejects.toEqual(kind('refused'));
    await expect(extended).rejects.toThrow(/only its operators may.*Unauthorized Request/);
    await expect(lrm.extend('12.pbss', 1)).rejects.toEqual(kind('refused'));
  });
});

describe('Torque', () => {
  const text = (part: string, more: string): CommandResult =>
    good(`${part}: x\n    total_jobs = 0\n${more}\n`);
  const active = text('Server', '    server_state = Active\n    default_queue = x\n    kill_delay = 30');

  it('says what it can give; its own default of the kill delay is short', async () => {
    const answers = {
      'qstat -B': active,
      'qstat -Q': text('Queue', '    resources_max.walltime = 01:30:00\n'),
      pbsnodes: recorded('torque/pbsnodes-x'),
    };
    expect(await adapter('torque', answers).lrm.capabilities()).toMatchObject({
      nodes: 2,
      idleNodes: 2,
      memoryMiBPerNode: 24_105,
      cpusPerNode: 2,
      maxWalltimeMs: 5_400_000,
      killDelayMs: 30_000,
    });
    const bare = { ...answers, 'qstat -B': text('Server', '    default_queue = x') };
    expect((await adapter('torque', bare).lrm.capabilities()).killDelayMs).toBe(2_000);
    await expect(
      pbs(
        { dialect: 'torque', queue: 'y' },
        {
          run: argv =>
            Promise.resolve(
              argv[0] === 'pbsnodes' ? answers.pbsnodes : answers[argv[1] === '-B' ? 'qstat -B' : 'qstat -Q'],
            ),
        },
        systemClock,
      ).capabilities(),
    ).rejects.toThrow('PBS has no queue y');
  });

  it('prints nothing when it has no jobs, which is believed only if the server is there', async () => {
    expect(await adapter('torque', { 'qstat -x': good(''), 'qstat -B': active }).lrm.list()).toEqual([]);
    const silent = adapter('torque', { 'qstat -x': good(''), 'qstat -B': good('') });
    await expect(silent.lrm.list()).rejects.toEqual(kind('unavailable'));
    // One that starts, or shuts down, has not read its jobs yet, or has let go of them.
    for (const state of ['Idle', 'Hot_Start', 'Terminating_Delay', 'Shutting Down']) {
      const inactive = text('Server', `    server_state = ${state}\n    default_queue = x`);
      const { lrm } = adapter('torque', { 'qstat -x': good(''), 'qstat -B': inactive });
      await expect(lrm.list()).rejects.toEqual(kind('unavailable'));
    }
  });

  it('does not show that a job is being deleted: it is remembered', async () => {
    const { lrm } = adapter('torque', { 'qstat -x': recorded('torque/qstat-x-exiting'), qdel: good('') });
    expect((await lrm.list())[0]?.state).toBe('running');
    await lrm.cancel('5.pbss');
    expect((await lrm.list())[0]?.state).toBe('ending');
  });

  it.each(['qdel-completed', 'qdel-running', 'qdel-unknown'])('does not mind %s', async file => {
    await adapter('torque', { qdel: recorded(`torque/${file}`) }).lrm.cancel('5.pbss');
  });
});

describe.each(['openpbs', 'torque'] as const)('a command of %s that', dialect => {
  it('hangs or is not there is unavailable', async () => {
    const run: ProcessRunner['run'] = argv =>
      Promise.reject(new CommandFailure('timeout', argv, 'took too long'));
    const failing = pbs({ dialect }, { run }, systemClock);
    for (const asked of [
      failing.list(),
      failing.capabilities(),
      failing.submit(request),
      failing.cancel('1'),
    ])
      await expect(asked).rejects.toEqual(kind('unavailable'));
  });

  it.each(['{"Jobs":', '<Data><Job>', 'null', '{}', 'Segmentation fault'])(
    'prints %j is unavailable',
    async text => {
      const run: ProcessRunner['run'] = () => Promise.resolve(good(text));
      await expect(pbs({ dialect }, { run }, systemClock).list()).rejects.toEqual(kind('unavailable'));
    },
  );
});
