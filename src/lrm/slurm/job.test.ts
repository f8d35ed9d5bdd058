import { describe, expect, it } from 'vitest';
import type { CommandResult } from '../../platform/process.ts';
import type { LrmJob } from '../lrm.ts';
import { slurm } from './slurm.ts';

/** What squeue says of our jobs, as rows of its --Format. */

type Row = Partial<Record<keyof typeof usual, string>>;
const usual = {
  JobID: '17',
  UserID: String(process.getuid?.()),
  State: 'PENDING',
  Reason: 'None',
  StartTime: 'N/A',
  EndTime: 'N/A',
  PreemptTime: 'N/A',
  NodeList: '',
  Name: 'wsp-slot-aaaaaaaaaa',
  Comment: '(null)',
};

/**
 * The list of a Slurm whose squeue prints these rows; `change`: what else becomes of its answer.
 */
function listOf(
  rows: readonly Row[],
  change: (answer: CommandResult) => Partial<CommandResult> = () => ({}),
): Promise<readonly LrmJob[]> {
  const run = (argv: readonly string[]): Promise<CommandResult> => {
    const fields = (argv.at(-1) ?? '').split(',').map(field => field.split(':'));
    const end = fields[0]?.[1] ?? '';
    const line = (cells: readonly (string | undefined)[]): string => `${cells.join(end)}${end}\n`;
    const printed = (argv[0] === 'squeue' ? rows : []).map(row => {
      const full: Readonly<Record<string, string>> = { ...usual, ...row };
      return line(fields.map(([name = '']) => full[name]));
    });
    const header = line(fields.map(([name = '']) => name.toUpperCase()));
    const answer = { code: 0, signal: null, stdout: header + printed.join(''), stderr: '' };
    return Promise.resolve({ ...answer, ...(argv[0] === 'squeue' ? change(answer) : {}) });
  };
  return slurm({}, { run }).list();
}

const one = async (row: Row): Promise<LrmJob | undefined> => (await listOf([row]))[0];

describe('what squeue says', () => {
  it('of a job that runs is all that it knows', async () => {
    const row = { State: 'RUNNING', StartTime: '1000', EndTime: '4600', NodeList: 'n[01-03],login' };
    expect(await one(row)).toEqual({
      jobId: '17',
      jobName: 'wsp-slot-aaaaaaaaaa',
      state: 'running',
      reason: undefined,
      estimatedStartAt: undefined,
      startedAt: 1_000_000,
      endsAt: 4_600_000,
      nodes: ['n01', 'n02', 'n03', 'login'],
      draining: [],
    });
    expect(await one({ StartTime: '1000' })).toMatchObject({ estimatedStartAt: 1_000_000 });
  });

  it('has no end of walltime for a job that is being preempted', async () => {
    const row = { State: 'RUNNING', StartTime: '1000', EndTime: '1010', PreemptTime: '1000' };
    expect((await one(row))?.endsAt).toBeUndefined();
  });

  it('site S10 is never structure, whatever others have written', async () => {
    const odd = '\n18|RUNNING\nJOBID z0 "x" ,:';
    const jobs = await listOf([
      { Name: `wsp-slot-${odd}`, Comment: odd, NodeList: 'n01' },
      { JobID: '18', Name: odd },
      { JobID: '19' },
    ]);
    expect(jobs.map(({ jobId, jobName }) => [jobId, jobName])).toEqual([
      ['17', `wsp-slot-${odd}`],
      ['19', 'wsp-slot-aaaaaaaaaa'],
    ]);
  });

  it("report 4 of another user's job with our job's name is not ours", async () => {
    expect(await listOf([{ UserID: '4711' }])).toEqual([]);
  });

  it.each([
    ['nothing', () => ({ stdout: '' })],
    ['cut off in a row', ({ stdout }: CommandResult) => ({ stdout: stdout.slice(0, -40) })],
    [
      'cut off after a field',
      ({ stdout }: CommandResult) => ({ stdout: stdout.replace(/\(null\)z\w+\n$/, '') }),
    ],
    [
      'without one of the fields',
      ({ stdout }: CommandResult) => ({ stdout: stdout.replace(/COMMENTz\w+/, '') }),
    ],
    ['followed by an error', ({ stdout }: CommandResult) => ({ stdout: `${stdout}slurm_load_jobs error` })],
    [
      'of a command that fails',
      () => ({ code: 1, stderr: 'slurm_load_jobs error: Protocol authentication error' }),
    ],
  ])('is an error, never an empty list, when it is %s: that would end every lease', async (_, change) => {
    await expect(listOf([{}], change)).rejects.toMatchObject({ name: 'LrmError', kind: 'unavailable' });
  });

  it.each([
    ['RUNNING', 'running'],
    ['RUNNING,CONFIGURING', 'starting'],
    ['CONFIGURING', 'starting'],
    ['RUNNING+POWER_UP_NODE', 'starting'],
    ['SUSPENDED', 'suspended'],
    ['RUNNING,STOPPED', 'suspended'],
    ['COMPLETED,COMPLETING', 'ending'],
    ['COMPLETING', 'ending'],
    ['CANCELLED,COMPLETING', 'ending'],
    ['FAILED+STAGE_OUT', 'ending'],
    ['COMPLETED,EPILOG', 'ending'],
    ['SIGNALING', 'running'],
    ['RESIZING', 'running'],
    ['RUNNING,UPDATE_DB', 'running'],
    ['RESV_DEL_HOLD', 'waiting'],
    ['SPECIAL_EXIT', 'waiting'],
    ['PENDING,STAGE_IN', 'waiting'],
    ['STAGE_IN', 'starting'],
    ['BOOT_FAIL', 'node-failed'],
    ['DEADLINE', 'timeout'],
    ['REVOKED', 'cancelled'],
    ['LAUNCH_FAILED', 'failed'],
    ['PENDING,REQUEUED', 'waiting'],
    ['REQUEUE_HOLD', 'waiting'],
    ['RUNNING,A_FLAG_OF_2030', 'running'],
    ['COMPLETED', 'completed'],
    ['CANCELLED', 'cancelled'],
    ['TIMEOUT', 'timeout'],
    ['NODE_FAIL', 'node-failed'],
    ['PREEMPTED', 'preempted'],
    ['FAILED', 'failed'],
    ['OUT_OF_MEMORY', 'failed'],
  ])('report 2 of a job in %s is that it is %s', async (State, state) => {
    expect(await one({ State, NodeList: state === 'waiting' ? '' : 'n01' })).toMatchObject({ state });
  });

  it('report 2 in a word that nobody knows yet is no end, and is passed on', async () => {
    expect(await one({ State: 'A_STATE_OF_2030', NodeList: 'n01' })).toMatchObject({
      state: 'running',
      reason: 'Slurm says: A_STATE_OF_2030',
    });
    expect(await one({ State: 'A_STATE_OF_2030' })).toMatchObject({ state: 'waiting' });
  });

  it('site S7 of a prolog is that the job does not run yet', async () => {
    const row = { State: 'RUNNING', Reason: 'Prolog', NodeList: 'n01', StartTime: '1000' };
    expect(await one(row)).toMatchObject({ state: 'starting', reason: 'the prolog runs' });
  });

  it('site S8 of a job that failed has its last words, which are its own', async () => {
    const row = { State: 'FAILED', Reason: 'NonZeroExitCode' };
    const Comment = 'last words: slurmstepd: error: execve(): nodex: No such file\nsrun: error: n01\n';
    expect((await one({ ...row, Comment }))?.reason).toBe(
      'Slurm ended the job: FAILED (NonZeroExitCode: slurmstepd: error: execve(): nodex: No such file; srun: error: n01)',
    );
    expect((await one({ ...row, Comment: 'project 7' }))?.reason).toBe(
      'Slurm ended the job: FAILED (NonZeroExitCode)',
    );
  });

  it('of 500 jobs is in one answer', async () => {
    const rows = Array.from({ length: 500 }, (_, n) => ({ JobID: String(n), NodeList: 'n[01-16]' }));
    expect(new Set((await listOf(rows)).map(({ jobId }) => jobId)).size).toBe(500);
  });

  it.each([
    ['JobHeldUser', 'needs-somebody', 'the job is held by its user (scontrol release lets it go)'],
    ['Resources', 'passes', 'it waits for nodes to become free'],
    ['PartitionTimeLimit', 'never', "it wants more time than its queue's limit"],
    [
      'QOSMaxWallDurationPerJobLimit',
      'never',
      'it wants more time than one job may have here (QOSMaxWallDurationPerJobLimit)',
    ],
    [
      'AssocMaxNodePerJobLimit',
      'never',
      'it wants more nodes than one job may have here (AssocMaxNodePerJobLimit)',
    ],
    [
      'QOSMaxJobsPerUserLimit',
      'passes',
      "its user's limit of running jobs is reached (QOSMaxJobsPerUserLimit)",
    ],
    ['AssocMaxJobsLimit', 'passes', "its user's limit of running jobs is reached (AssocMaxJobsLimit)"],
    [
      'AssocGrpCpuLimit',
      'passes',
      "the limit of processors of its account's jobs is reached (AssocGrpCpuLimit)",
    ],
    [
      'AssocGrpCPUMinutesLimit',
      'needs-somebody',
      'the budget of processors is used up (AssocGrpCPUMinutesLimit)',
    ],
    [
      'QOSMinCpuNotSatisfied',
      'never',
      'it wants less processors than a job must have here (QOSMinCpuNotSatisfied)',
    ],
    [
      'ReqNodeNotAvail, UnavailableNodes:n01',
      'needs-somebody',
      'nodes that it needs are down, drained or reserved',
    ],
    [
      'ReqNodeNotAvail, May be reserved for other job',
      'passes',
      'nodes that it needs are reserved for another job',
    ],
    ['SomethingNew', undefined, 'Slurm says: SomethingNew'],
    ['None', undefined, undefined],
  ])('site S6 of a job that waits for %s tells what happens next', async (Reason, outlook, reason) => {
    const job = await one({ Reason });
    expect([job?.outlook, job?.reason]).toEqual([outlook, reason]);
  });
});

it('what ends or holds up a job is told of each state in words of its own', async () => {
  const states = ['CANCELLED', 'PREEMPTED', 'TIMEOUT', 'NODE_FAIL', 'FAILED', 'SUSPENDED'];
  const reasons = await Promise.all(states.map(async State => (await one({ State }))?.reason));
  expect(new Set(reasons).size).toBe(states.length);
  expect(reasons).not.toContain(undefined);
  for (const State of ['RUNNING', 'COMPLETED', 'COMPLETING'])
    expect((await one({ State }))?.reason).toBeUndefined();
});
