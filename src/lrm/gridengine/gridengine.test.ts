import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import type { GangRequest, LrmJob } from '../lrm.ts';
import { keepProgram, sweepPrograms } from '../programs.ts';
import { endedJob, endedJobs } from './accounting.ts';
import { environmentFor, jobScript, parallelEnvironment, qsubArguments } from './job-script.ts';
import { Memory } from './memory.ts';
import { parseHosts, parseJobs, parseReasons } from './qstat.ts';

/** Answers as Son of Grid Engine 8.1.9 gives them; recorded, shortened. */

const row = (more: string): string =>
  `<job_list state="running"><JB_job_number>2</JB_job_number><JB_name>wsp-slot-y</JB_name><state>r</state>
   <JAT_start_time>2026-11-24T04:46:55</JAT_start_time>${more}<full_job_name>wsp-slot-y</full_job_name>
   <hard_request name="mem_free" resource_contribution="0.000000">200M</hard_request>
   <hard_request name="h_rt" resource_contribution="0.000000">600</hard_request></job_list>`;
const waiting = (state: string, id: number): string =>
  `<job_list state="pending"><JB_job_number>${id}</JB_job_number><JB_name>wsp-slot-z</JB_name><state>${state}</state>
   <JB_submission_time>2026-11-24T04:46:54</JB_submission_time><queue_name></queue_name></job_list>`;
const answer = (running: string, pending: string): string =>
  `<?xml version='1.0'?><job_info><queue_info>${running}</queue_info><job_info>${pending}</job_info></job_info>`;

describe('parseJobs', () => {
  it('makes one job of the rows of its nodes, with its times in UTC', () => {
    const hosts = ['n01', 'n03', 'n03'].map(host => row(`<queue_name>all.q@${host}</queue_name>`)).join('');
    const startedAt = Date.UTC(2026, 10, 24, 4, 46, 55);
    expect(parseJobs(answer(hosts, ''))).toEqual([
      {
        jobId: '2',
        jobName: 'wsp-slot-y',
        state: 'running',
        reason: undefined,
        startedAt,
        endsAt: startedAt + 600_000,
        nodes: ['n01', 'n03'],
      },
    ]);
  });

  it.each([
    ['qw', 'waiting', undefined],
    ['hqw', 'waiting', /is held/],
    ['Eqw', 'waiting', /set it aside/],
    ['t', 'running', undefined],
    ['s', 'running', undefined],
    ['dr', 'ending', undefined],
    ['dt', 'ending', undefined],
  ])('takes %s for %s', (letters, state, reason) => {
    const [job] = parseJobs(answer('', waiting(letters, 3)));
    expect(job).toMatchObject({ jobId: '3', state, nodes: [] });
    if (reason) expect(job?.reason).toMatch(reason);
    else expect(job?.reason).toBeUndefined();
  });

  it('finds no jobs in an answer without any, and none of others', () => {
    expect(parseJobs(answer('', ''))).toEqual([]);
    expect(parseJobs(answer('', waiting('qw', 3).replaceAll('wsp-slot-z', 'simulation')))).toEqual([]);
  });

  it('reads 500 jobs of one answer, on 16 nodes each', () => {
    const rows = Array.from({ length: 500 }, (_, n) =>
      Array.from({ length: 16 }, (_, host) => row(`<queue_name>all.q@n${host}</queue_name>`))
        .join('')
        .replaceAll('<JB_job_number>2<', `<JB_job_number>${n + 1}<`),
    );
    const jobs = parseJobs(answer(rows.join(''), ''));
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(500);
    expect(jobs.every(({ nodes }) => nodes.length === 16)).toBe(true);
  });

  it.each(['', 'error: commlib error', '<job_info', '<x/>'])('does not take %j for an empty list', text => {
    expect(() => parseJobs(text)).toThrow(expect.objectContaining({ kind: 'unavailable' }));
  });
});

it('parseReasons gives each waiting job what the scheduler says of it', () => {
  const message = (ids: readonly number[], text: string): string =>
    `<element><MES_job_number_list>${ids.map(id => `<ulong_sublist><ULNG_value>${id}</ULNG_value></ulong_sublist>`).join('')}</MES_job_number_list><MES_message>${text}</MES_message></element>`;
  const said = `<?xml version='1.0'?><detailed_job_info><messages><element><SME_message_list>${message([3], 'cannot run in queue &quot;n03&quot; because it offers only hc:mem_free=1.172G')}${message([3, 4], 'no slots')}</SME_message_list></element></messages></detailed_job_info>`;
  expect(Object.fromEntries(parseReasons(said))).toEqual({
    3: ['cannot run in queue "n03" because it offers only hc:mem_free=1.172G', 'no slots'],
    4: ['no slots'],
  });
});

it('parseHosts counts the hosts that have the queue', () => {
  const host = (name: string, queue: string, used: number): string =>
    `<host name='${name}'><hostvalue name='num_proc'>8</hostvalue><hostvalue name='mem_total'>23.5G</hostvalue>
     ${queue === '' ? '' : `<queue name='${queue}'><queuevalue qname='${queue}' name='slots_used'>${used}</queuevalue><queuevalue qname='${queue}' name='slots'>2</queuevalue></queue>`}</host>`;
  const told = `<?xml version='1.0'?><qhost>${host('global', '', 0)}${host('n01', 'all.q', 0)}${host('n02', 'big.q', 1)}</qhost>`;
  expect(parseHosts(told, null).map(({ name }) => name)).toEqual(['n01', 'n02']);
  expect(parseHosts(told, 'big.q')).toEqual([{ name: 'n02', cpus: 2, memoryMiB: 24_064, used: 1 }]);
});

describe('how a job ended', () => {
  const line = (ran: number, failed: number, exit: number, task = 'NONE'): string =>
    `all.q:n03:root:root:wsp-slot-y:2:sge:0:1795495614:1795495615:${1_795_495_615 + ran}:${failed}:${exit}:22:0.13:0.04:17848.0:0:0:0:0:1:1:0:1.0:40:0:0:0:538:190:NONE:defaultdepartment:wsp1:3:0:0.1:0.0:0.0:-l h_rt=600,mem_free=200M -pe wsp1 3:0.0:${task}:27914240.0:0:0`;
  it.each([
    ['well', line(22, 0, 0), false, 'completed', undefined],
    ['with a pilot’s exit code', line(22, 0, 3), false, 'failed', /exit code 3/],
    ['by a signal', line(22, 100, 137), false, 'failed', /signal 9/],
    ['because it could not be started', line(0, 26, 0), false, 'failed', /failed: 26/],
    ['without its program', line(0, 0, 77), false, 'failed', /programDir/],
    ['by being deleted', line(22, 100, 137), true, 'cancelled', /deleted/],
    ['by its time limit, which looks like being deleted', line(600, 100, 137), true, 'timeout', /time limit/],
  ])('%s', (_how, text, deleted, state, reason) => {
    const job = endedJob(text, new Set(deleted ? ['2'] : []));
    expect(job).toMatchObject({ jobId: '2', jobName: 'wsp-slot-y', state });
    if (reason) expect(job?.reason).toMatch(reason);
  });

  it('is not that of its tasks, nor of other jobs, nor of a line cut in two', async () => {
    expect(endedJob(line(22, 0, 0, '1.n02'), new Set())).toBeUndefined();
    expect(endedJob(line(22, 0, 0).replace('wsp-slot-y', 'simulation'), new Set())).toBeUndefined();
    const directory = mkdtempSync(join(tmpdir(), 'wsp-accounting-'));
    const path = join(directory, 'accounting');
    writeFileSync(path, `# Version: 8.1.9\n${`${line(22, 0, 0)}\n`.repeat(1_500)}`);
    expect((await endedJobs(path, new Set())).every(({ state }) => state === 'completed')).toBe(true);
    expect(await endedJobs(join(directory, 'none'), new Set())).toEqual([]);
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

  it('asks for its slots, memory by the slot, and a warning', () => {
    expect(qsubArguments(request, { name: 'wsp2', slotsPerNode: 2 }, 'mem_free').join(' ')).toBe(
      '-terse -w e -N wsp-slot-a -notify -r n -pe wsp2 6 -l mem_free=151M,h_rt=91 -S /bin/sh -wd / -o /dev/null -j y -hard',
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
    expect(jobScript('/srv/programs/wsp-slot-a.cjs', '/usr/bin/node')).toContain(
      'qrsh -inherit -nostdin "$host" /usr/bin/node /srv/programs/wsp-slot-a.cjs >',
    );
    expect(() => jobScript('/srv; id/x', 'node')).toThrow(/cannot take this path/);
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
