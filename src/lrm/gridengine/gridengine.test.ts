import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import type { CommandResult, ProcessRunner } from '../../platform/process.ts';
import type { GangRequest, LrmJob } from '../lrm.ts';
import { keepProgram, sweepPrograms } from '../programs.ts';
import { endedJob, endedJobs, type Known } from './accounting.ts';
import { environmentFor, jobScript, qsubArguments } from './job-script.ts';
import { gridEngine } from './gridengine.ts';
import { Memory } from './memory.ts';
import { type MemoryCounting, memoryCounting, parallelEnvironment } from './facts.ts';
import { parseDetails } from './details.ts';
import { capacityWithin, parseHosts, Sizes } from './hosts.ts';
import { parseJobs } from './qstat.ts';

/** Answers as Son of Grid Engine 8.1.9 gives them; recorded, shortened. */

const row = (more: string): string =>
  `<job_list state="running"><JB_job_number>2</JB_job_number><JB_name>wsp-slot-y</JB_name><JB_owner>vm</JB_owner><state>r</state>
   <JAT_start_time>2026-11-24T04:46:55</JAT_start_time>${more}<full_job_name>wsp-slot-y</full_job_name>
   <hard_request name="mem_free" resource_contribution="0.000000">200M</hard_request>
   <hard_request name="h_rt" resource_contribution="0.000000">600</hard_request></job_list>`;
const waiting = (state: string, id: number): string =>
  `<job_list state="pending"><JB_job_number>${id}</JB_job_number><JB_name>wsp-slot-z</JB_name><JB_owner>vm</JB_owner><state>${state}</state>
   <JB_submission_time>2026-11-24T04:46:54</JB_submission_time><queue_name></queue_name></job_list>`;
const jobsIn = (text: string) => parseJobs(text, 'vm');
const answer = (running: string, pending: string): string =>
  `<?xml version='1.0'?><job_info><queue_info>${running}</queue_info><job_info>${pending}</job_info></job_info>`;

describe('parseJobs', () => {
  it('makes one job of the rows of its nodes, with its times in UTC', () => {
    const hosts = ['n01', 'n03', 'n03'].map(host => row(`<queue_name>all.q@${host}</queue_name>`)).join('');
    const startedAt = Date.UTC(2026, 10, 24, 4, 46, 55);
    expect(jobsIn(answer(hosts, ''))).toEqual([
      {
        jobId: '2',
        jobName: 'wsp-slot-y',
        state: 'running',
        reason: undefined,
        startedAt,
        endsAt: startedAt + 600_000,
        nodes: ['n01', 'n03'],
        isHeld: false,
        isInError: false,
        waitsFor: [],
      },
    ]);
  });

  it.each([
    ['qw', 'waiting', undefined],
    ['hqw', 'waiting', undefined],
    ['Eqw', 'waiting', undefined],
    ['hr', 'running', undefined],
    ['Rr', 'running', undefined],
    ['t', 'starting', undefined],
    ['s', 'suspended', /qmod -usj/],
    ['S', 'suspended', /queue is suspended/],
    ['T', 'suspended', /too busy/],
    ['ds', 'ending', undefined],
    ['dr', 'ending', undefined],
    ['dt', 'ending', undefined],
  ])('takes %s for %s', (letters, state, reason) => {
    const [job] = jobsIn(answer('', waiting(letters, 3)));
    expect(job).toMatchObject({ jobId: '3', state, nodes: [] });
    if (reason) expect(job?.reason).toMatch(reason);
    else expect(job?.reason).toBeUndefined();
  });

  it('finds no jobs in an answer without any, and none of others', () => {
    expect(jobsIn(answer('', ''))).toEqual([]);
    expect(jobsIn(answer('', waiting('qw', 3).replaceAll('wsp-slot-z', 'simulation')))).toEqual([]);
  });

  it('reads 500 jobs of one answer, on 16 nodes each', () => {
    const rows = Array.from({ length: 500 }, (_, n) =>
      Array.from({ length: 16 }, (_, host) => row(`<queue_name>all.q@n${host}</queue_name>`))
        .join('')
        .replaceAll('<JB_job_number>2<', `<JB_job_number>${n + 1}<`),
    );
    const jobs = jobsIn(answer(rows.join(''), ''));
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(500);
    expect(jobs.every(({ nodes }) => nodes.length === 16)).toBe(true);
  });

  it.each(['', 'error: commlib error', '<job_info', '<x/>'])('does not take %j for an empty list', text => {
    expect(() => jobsIn(text)).toThrow(expect.objectContaining({ kind: 'unavailable' }));
  });

  it('report 4: the jobs of others are never ours, whatever they are called', () => {
    const theirs = waiting('qw', 3).replace('<JB_owner>vm<', '<JB_owner>mallory<');
    expect(jobsIn(answer('', theirs + waiting('qw', 4))).map(({ jobId }) => jobId)).toEqual(['4']);
  });
});

it('site G4: of what qstat -j says every list is read, those about all jobs too', () => {
  const message = (text: string, ids: readonly number[] = []): string =>
    `<element>${ids.length === 0 ? '' : `<MES_job_number_list>${ids.map(id => `<ulong_sublist><ULNG_value>${id}</ULNG_value></ulong_sublist>`).join('')}</MES_job_number_list>`}<MES_message_number>39</MES_message_number><MES_message>${text}</MES_message></element>`;
  const said = `<?xml version='1.0'?><detailed_job_info><djob_info><element><JB_job_number>3</JB_job_number>
    <JB_ja_tasks><ulong_sublist><JAT_message_list><ulong_sublist><QIM_type>1</QIM_type>
    <QIM_message>11/27/2026 23:06:05 [0:696]: error: can&apos;t chdir to /x: No such file or directory</QIM_message>
    </ulong_sublist></JAT_message_list></ulong_sublist></JB_ja_tasks><JB_execution_time>1893456000</JB_execution_time></element></djob_info>
    <messages><element><SME_message_list>${message('cannot run in queue &quot;n03&quot; because it offers only hc:mem_free=1.172G', [3])}${message('no slots', [3, 4])}</SME_message_list>
    <SME_global_message_list>${message('queue instance &quot;all.q@n01&quot; dropped because it is disabled')}</SME_global_message_list></element></messages></detailed_job_info>`;
  const { remarks, general, errors, startsAfter } = parseDetails(said);
  expect(Object.fromEntries(remarks)).toEqual({
    3: ['cannot run in queue "n03" because it offers only hc:mem_free=1.172G', 'no slots'],
    4: ['no slots'],
  });
  expect(general).toEqual(['queue instance "all.q@n01" dropped because it is disabled']);
  expect(errors.get('3')).toBe("can't chdir to /x: No such file or directory");
  expect(startsAfter.get('3')).toBe(Date.UTC(2030, 0, 1));
});

describe('the end of a job that is ordered', () => {
  const cancel = (code: number, words: string): Promise<void> => {
    const run = (): Promise<CommandResult> =>
      Promise.resolve({
        code,
        signal: null,
        stdout: code === 0 ? words : '',
        stderr: code === 0 ? '' : words,
      });
    const settings = { root: '/none', parallelEnvironments: ['wsp'], memoryResource: 'mem_free' };
    return gridEngine({ ...settings, programDir: '/none' }, { run }, systemClock).cancel('5');
  };

  it.each([
    [1, 'error: commlib error: got select error (Connection refused)'],
    [1, 'error: unable to send message to qmaster using port 6444 on host "head": got send error'],
    [1, 'denied: host "head" is no submit host'],
    [139, ''],
  ])('is not done while qdel cannot do it: exit code %d, %s', async (code, words) => {
    await expect(cancel(code, words)).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
  });

  it.each([
    [0, 'vm has registered the job 5 for deletion'],
    [1, 'denied: job "5" does not exist'],
    [1, 'job 5 is already in deletion'],
  ])('is done: exit code %d, %s', async (code, words) => {
    await cancel(code, words);
  });
});

describe('the hosts of a site', () => {
  const host = (
    name: string,
    queue: string,
    more: { used?: number; state?: string; left?: string },
  ): string =>
    `<host name='${name}'><hostvalue name='num_proc'>8</hostvalue><hostvalue name='mem_total'>${name === 'global' ? '-' : '23.5G'}</hostvalue>
     ${more.left === undefined ? '' : `<resourcevalue name='mem_free' dominance='hc'>${more.left}</resourcevalue>`}
     ${queue === '' ? '' : `<queue name='${queue}'><queuevalue qname='${queue}' name='slots_used'>${more.used ?? 0}</queuevalue><queuevalue qname='${queue}' name='slots'>2</queuevalue><queuevalue qname='${queue}' name='state_string'>${more.state ?? ''}</queuevalue></queue>`}</host>`;
  const told = (...hosts: readonly string[]): string =>
    `<?xml version='1.0'?><qhost>${host('global', '', {})}${hosts.join('')}</qhost>`;

  it('are those that have the queue', () => {
    const two = told(host('n01', 'all.q', {}), host('n02', 'big.q', { used: 1 }));
    expect(parseHosts(two, null, 'mem_free').map(({ name }) => name)).toEqual(['n01', 'n02']);
    expect(parseHosts(two, ['big.q'], 'mem_free')).toEqual([
      { name: 'n02', cpus: 2, memoryMiB: 24_064, idle: false },
    ]);
  });

  it('are not idle while a job of another queue runs there', () => {
    const [first = '', second = ''] = [host('n01', 'all.q', { used: 1 }), host('n01', 'big.q', {})];
    const queue = second.slice(second.indexOf('<queue '));
    const both = told(first.replace('</host>', queue));
    expect(parseHosts(both, ['big.q'], 'mem_free')).toMatchObject([{ name: 'n01', idle: false }]);
  });

  it.each(['d', 'D', 's', 'S', 'C', 'A', 'a', 'u', 'E', 'au', 'c', 'o'])(
    'site G4: a node whose queue is in state %s is not idle',
    state => {
      const one = told(host('n01', 'all.q', { state }), host('n02', 'all.q', {}));
      expect(parseHosts(one, null, 'mem_free').map(({ idle }) => idle)).toEqual([false, true]);
    },
  );

  it('site S2: of two sizes are told with their counts, what is counted as it was when nothing ran', () => {
    const sizes = new Sizes();
    const look = (...hosts: readonly string[]) => sizes.of(parseHosts(told(...hosts), null, 'mem_free'));
    look(host('n01', 'all.q', { left: '1.367G' }), host('n02', 'all.q', { left: '4.000G' }));
    const now = look(
      host('n01', 'all.q', { left: '1.367G' }),
      host('n02', 'all.q', { left: '2.000G', used: 1 }),
      host('n03', 'all.q', { left: '4.000G' }),
    );
    expect(capacityWithin(now, 2).sizes).toEqual([
      { nodes: 2, idleNodes: 1, memoryMiB: 4_096, cpus: 2 },
      { nodes: 1, idleNodes: 1, memoryMiB: 1_400, cpus: 2 },
    ]);
  });
});

describe('site G1 the memory resource', () => {
  const complexes = (type: string, requestable: string, consumable: string): string =>
    `#name shortcut type relop requestable consumable default urgency\nmem_free mf ${type} <= ${requestable} ${consumable} 0 0\n`;
  it.each([
    ['NO', 'load'],
    ['YES', 'slot'],
    ['HOST', 'node'],
  ])('with consumable %s is counted by the %s', (consumable, counting) => {
    expect(memoryCounting(complexes('MEMORY', 'YES', consumable), 'mem_free')).toBe(counting);
  });
  it.each([
    [complexes('MEMORY', 'YES', 'JOB'), /counted once for a whole job/],
    [complexes('MEMORY', 'NO', 'YES'), /cannot be asked for/],
    [complexes('INT', 'YES', 'YES'), /is of type INT/],
    ['', /is no resource/],
  ])('that is not of use is told by name', (text, words) => {
    expect(() => memoryCounting(text, 'mem_free')).toThrow(words);
  });
});

const result = (stdout: string): CommandResult => ({ code: 0, signal: null, stdout, stderr: '' });

describe('how a job ended', () => {
  const line = (ran: number, failed: number, exit: number, task = 'NONE'): string =>
    `all.q:n03:vm:vm:wsp-slot-y:2:sge:0:1795495614:1795495615:${1_795_495_615 + ran}:${failed}:${exit}:22:0.13:0.04:17848.0:0:0:0:0:1:1:0:1.0:40:0:0:0:538:190:NONE:defaultdepartment:wsp1:3:0:0.1:0.0:0.0:-l h_rt=600,mem_free=200M -pe wsp1 3:0.0:${task}:27914240.0:0:0`;
  const known: Known = { owner: 'vm', deletions: new Set(), lost: new Map() };
  it.each([
    ['well', line(22, 0, 0), false, 'completed', undefined],
    ['with a pilot’s exit code', line(22, 0, 3), false, 'failed', /exit code 3/],
    ['by a signal', line(22, 100, 137), false, 'failed', /signal 9/],
    ['because it could not be started', line(0, 26, 0), false, 'failed', /failed: 26/],
    ['without its program', line(0, 0, 77), false, 'failed', /programDir/],
    ['by being deleted', line(22, 100, 137), true, 'cancelled', /deleted/],
    ['by its time limit, which sge_qmaster has enforced', line(22, 37, 0), false, 'timeout', /time limit/],
    ['by its time limit, which looks like being deleted', line(600, 100, 137), true, 'timeout', /time limit/],
  ])('%s', (_how, text, deleted, state, reason) => {
    const job = endedJob(text, { ...known, deletions: new Set(deleted ? ['2'] : []) });
    expect(job).toMatchObject({ jobId: '2', jobName: 'wsp-slot-y', state });
    if (reason) expect(job?.reason).toMatch(reason);
  });

  it('report 11: is read from a file that counts in milliseconds as from one that counts in seconds', () => {
    const inMs = line(13, 0, 0).replace(/\b1795495\d{3}\b/g, '$&000');
    const job = endedJob(line(13, 0, 0), known);
    expect(endedJob(inMs, known)).toEqual(job);
    expect(job).toMatchObject({ state: 'completed', startedAt: 1_795_495_615_000 });
    const late = line(600, 100, 137).replace(/\b179549[56]\d{3}\b/g, '$&000');
    expect(endedJob(late, known)).toMatchObject({ state: 'timeout' });
  });

  it('site G3: of a node that was lost is told as that, also after the job was deleted because of it', () => {
    const lost = new Map([['2', ['n03']]]);
    const job = endedJob(line(22, 100, 137), { ...known, deletions: new Set(['2']), lost });
    expect(job).toMatchObject({ state: 'node-failed', reason: 'Grid Engine does not hear of n03 any more' });
  });

  it('report 4: is not that of another user’s job with a name like ours', () => {
    expect(endedJob(line(22, 0, 0).replace(':vm:vm:', ':mallory:users:'), known)).toBeUndefined();
  });

  it('is that it was deleted when we have ordered that, though no list has shown it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'wsp-cell-'));
    mkdirSync(join(root, 'default/common'), { recursive: true });
    const own = line(22, 100, 137).replace(':vm:vm:', `:vm:${userInfo().username}:`);
    writeFileSync(join(root, 'default/common/accounting'), `${own}\n`);
    const run: ProcessRunner['run'] = ([command]) =>
      Promise.resolve(result(command === 'qdel' ? 'deleted' : answer('', '')));
    const settings = { root, parallelEnvironments: ['wsp'], memoryResource: 'mem_free' };
    const lrm = gridEngine({ ...settings, programDir: join(root, 'none') }, { run }, systemClock);
    await lrm.cancel('2');
    expect(await lrm.list()).toMatchObject([{ jobId: '2', state: 'cancelled' }]);
    rmSync(root, { recursive: true });
  });

  it('is none of a job that is listed: an earlier run of it has ended', async () => {
    const root = mkdtempSync(join(tmpdir(), 'wsp-cell-'));
    mkdirSync(join(root, 'default/common'), { recursive: true });
    const { username } = userInfo();
    const own = line(22, 0, 0).replace(':vm:vm:', `:vm:${username}:`);
    writeFileSync(join(root, 'default/common/accounting'), `${own}\n`);
    const listed = row('<queue_name>all.q@n01</queue_name>').replace('>vm<', `>${username}<`);
    const run: ProcessRunner['run'] = ([command]) =>
      Promise.resolve(result(command === 'qstat' ? answer(listed, '') : ''));
    const settings = { root, parallelEnvironments: ['wsp'], memoryResource: 'mem_free' };
    const lrm = gridEngine({ ...settings, programDir: join(root, 'none') }, { run }, systemClock);
    expect(await lrm.list()).toMatchObject([{ jobId: '2', state: 'starting' }]);
    rmSync(root, { recursive: true });
  });

  it('has the times that there were', () => {
    const never = line(0, 26, 0).replace(/:1795495615:1795495615:/, ':0:0:');
    expect(endedJob(never, known)).toMatchObject({
      state: 'failed',
      startedAt: undefined,
      endsAt: undefined,
    });
    const limitless = line(600, 0, 0).replace('h_rt=600,', '');
    expect(endedJob(limitless, known)).toMatchObject({ state: 'completed', endsAt: 1_795_496_215_000 });
    expect(endedJob(line(599, 0, 0), known)).toMatchObject({ state: 'completed' });
  });

  it('is read from the end of a long file, of which a line may be cut in two', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'wsp-accounting-'));
    const path = join(directory, 'accounting');
    const numbered = (count: number): string =>
      Array.from({ length: count }, (_, index) =>
        line(22, 0, 0).replace('wsp-slot-y:2:', `wsp-slot-y:${index}:`),
      ).join('\n');
    writeFileSync(path, numbered(3));
    expect((await endedJobs(path, known)).map(({ jobId }) => jobId)).toEqual(['0', '1', '2']);
    writeFileSync(path, `${numbered(3_000)}\n`);
    const ended = (await endedJobs(path, known)).map(({ jobId }) => Number(jobId));
    expect(ended.at(-1)).toBe(2_999);
    expect(ended.length).toBeGreaterThan(500);
    expect(ended.length).toBeLessThan(2_000);
    expect(ended).toEqual(ended.map((_, index) => 3_000 - ended.length + index));
    rmSync(directory, { recursive: true });
  });

  it('is told with its last words when it has failed, which are read once; those of others are not', async () => {
    const root = mkdtempSync(join(tmpdir(), 'wsp-cell-'));
    mkdirSync(join(root, 'default/common'), { recursive: true });
    mkdirSync(join(root, 'programs'));
    const { username } = userInfo();
    const of = (id: number, exit: number): string =>
      line(22, 0, exit).replace(':vm:vm:wsp-slot-y:2:', `:vm:${username}:wsp-slot-${id}:${id}:`);
    writeFileSync(join(root, 'default/common/accounting'), [of(1, 3), of(2, 3), of(3, 0)].join('\n'));
    for (const id of [1, 3]) writeFileSync(join(root, `programs/wsp-slot-${id}.said`), 'no disk\n');
    const run: ProcessRunner['run'] = () => Promise.resolve(result(answer('', '')));
    const settings = { root, parallelEnvironments: ['wsp'], memoryResource: 'mem_free' };
    const lrm = gridEngine({ ...settings, programDir: join(root, 'programs') }, { run }, systemClock);
    for (const _ of ['read', 'remembered']) {
      const reasons = (await lrm.list()).map(({ jobId, reason }) => [jobId, reason]);
      expect(reasons).toEqual([
        ['1', expect.stringMatching(/exit code 3: no disk$/)],
        ['2', expect.stringMatching(/exit code 3$/)],
        ['3', undefined],
      ]);
      expect(existsSync(join(root, 'programs/wsp-slot-1.said'))).toBe(false);
    }
    rmSync(root, { recursive: true });
  });

  it('is not that of its tasks, nor of other jobs, nor of a line cut in two', async () => {
    expect(endedJob(line(22, 0, 0, '1.n02'), known)).toBeUndefined();
    expect(endedJob(line(22, 0, 0).replace('wsp-slot-y', 'simulation'), known)).toBeUndefined();
    const directory = mkdtempSync(join(tmpdir(), 'wsp-accounting-'));
    const path = join(directory, 'accounting');
    writeFileSync(path, `# Version: 8.1.9\n${`${line(22, 0, 0)}\n`.repeat(1_500)}`);
    expect((await endedJobs(path, known)).every(({ state }) => state === 'completed')).toBe(true);
    expect(await endedJobs(join(directory, 'none'), known)).toEqual([]);
    rmSync(directory, { recursive: true });
  });
});

describe('the memory of what was seen', () => {
  const job = (jobId: string, state: LrmJob['state']): LrmJob => ({
    jobId,
    jobName: `wsp-${jobId}`,
    state,
    nodes: [],
  });
  it('tells that a job was deleted in the queue, until Grid Engine says otherwise', () => {
    const memory = new Memory();
    expect(memory.look([job('1', 'waiting'), job('2', 'waiting')], [])).toEqual([]);
    expect(memory.look([job('2', 'running')], [])).toMatchObject([{ jobId: '1', state: 'cancelled' }]);
    expect(memory.look([], [])).toMatchObject([{ jobId: '1', state: 'cancelled' }]);
    expect(memory.look([], [job('1', 'failed')])).toEqual([]);
  });

  it('site G3: tells that a node of a job that is gone was lost, until it is heard of again', () => {
    const memory = new Memory();
    memory.look([job('1', 'running'), job('2', 'running')], []);
    for (const now of [0, 60_000]) {
      memory.noteSilent('1', ['n01'], now);
      memory.noteSilent('2', ['n02'], now);
    }
    memory.noteSilent('2', [], 61_000);
    expect(memory.look([], [])).toMatchObject([
      { jobId: '1', state: 'node-failed', reason: 'Grid Engine does not hear of n01 any more' },
    ]);
  });

  it('site G3: a node that is silent for a moment, as all are when sge_qmaster starts, is not lost', () => {
    const memory = new Memory();
    memory.noteSilent('1', ['n01'], 0);
    memory.noteSilent('1', ['n01'], 40_000);
    expect([...memory.silent.keys()]).toEqual(['1']);
    expect([...memory.lost.keys()]).toEqual([]);
    memory.noteSilent('1', ['n01'], 45_000);
    expect([...memory.lost.keys()]).toEqual(['1']);
  });

  it('knows which jobs were deleted', () => {
    const memory = new Memory();
    memory.look([job('1', 'ending')], []);
    memory.noteDeletion('2');
    expect(memory.deletions).toEqual(new Set(['1', '2']));
  });
});

describe('a job', () => {
  const request: GangRequest = {
    jobName: 'wsp-slot-a',
    nodes: 3,
    memoryMiBPerNode: 301,
    cpusPerNode: 2,
    walltimeMs: 90_500,
    options: ['-hard'],
    program: 'the secret',
  };

  const memory = (counting: MemoryCounting) => ({ resource: 'mem_free', counting });
  it('asks for its slots, memory by the slot, and a warning', () => {
    expect(qsubArguments(request, { name: 'wsp2', slotsPerNode: 2 }, memory('slot')).join(' ')).toBe(
      '-terse -N wsp-slot-a -notify -r n -pe wsp2 6 -l mem_free=151M,h_rt=91 -S /bin/sh -wd / -o /dev/null -j y -hard',
    );
  });

  it('site G1: asks for all of a node’s memory where it is not counted by the slot', () => {
    for (const counting of ['load', 'node'] as const)
      expect(qsubArguments(request, { name: 'wsp2', slotsPerNode: 2 }, memory(counting)).join(' ')).toContain(
        '-l mem_free=301M,h_rt=91 ',
      );
  });

  it('takes the smallest parallel environment that will do', () => {
    const known = [
      { name: 'eight', slotsPerNode: 8 },
      { name: 'two', slotsPerNode: 2 },
    ];
    expect(environmentFor(1, known).name).toBe('two');
    expect(environmentFor(3, known).name).toBe('eight');
    expect(() => environmentFor(9, known)).toThrow(/eight: 8, two: 2/);
  });

  it.each([
    ['pe_name a\nallocation_rule $fill_up\ncontrol_slaves TRUE', /allocation rule \$fill_up/],
    ['pe_name a\nallocation_rule 1\ncontrol_slaves FALSE', /needs control_slaves TRUE/],
  ])('cannot have a parallel environment like %j', (text, words) => {
    expect(() => parallelEnvironment(text)).toThrow(words);
  });

  it('has no path in its script that the shell would take apart', () => {
    const files = { program: '/srv/programs/wsp-slot-a.cjs', words: '/srv/programs/wsp-slot-a.said' };
    expect(jobScript(files, '/usr/bin/node')).toContain(
      'qrsh -inherit -nostdin "$host" /usr/bin/node /srv/programs/wsp-slot-a.cjs 2>&1 >',
    );
    expect(() => jobScript({ ...files, program: '/srv; id/x' }, 'node')).toThrow(/cannot take this path/);
  });

  it('has its program in a file of its own, which is swept when the job is not known any more', async () => {
    const directory = join(mkdtempSync(join(tmpdir(), 'wsp-programs-')), 'programs');
    const file = await keepProgram(directory, request);
    // Submitted again after a crash.
    await keepProgram(directory, request);
    await sweepPrograms(directory, new Set(), systemClock.now());
    expect(readdirSync(directory)).toEqual(['wsp-slot-a.cjs']);
    utimesSync(file, 1, 1);
    await sweepPrograms(directory, new Set(['wsp-slot-a']), systemClock.now());
    expect(readdirSync(directory)).toEqual(['wsp-slot-a.cjs']);
    await sweepPrograms(directory, new Set(), systemClock.now());
    expect(readdirSync(directory)).toEqual([]);
    rmSync(join(directory, '..'), { recursive: true });
  });
});
