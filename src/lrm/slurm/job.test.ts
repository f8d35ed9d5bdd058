import { describe, expect, it } from 'vitest';
import { parseJobs } from './job.ts';

const answer = (...jobs: readonly object[]): string => JSON.stringify({ errors: [], jobs });
const job = {
  job_id: 17,
  name: 'wsp-slot-aaaaaaaaaa',
  job_state: 'PENDING',
  state_reason: 'None',
  start_time: 0,
  end_time: 0,
  nodes: '',
};

describe('what squeue --json says', () => {
  it('is read in the shape of Slurm 22.05', () => {
    const [running] = parseJobs(
      answer({
        ...job,
        job_state: 'RUNNING',
        start_time: 1_000,
        end_time: 4_600,
        nodes: 'n[01-03],login',
      }),
    );
    expect(running).toEqual({
      jobId: '17',
      jobName: 'wsp-slot-aaaaaaaaaa',
      state: 'running',
      reason: undefined,
      estimatedStartAt: undefined,
      startedAt: 1_000_000,
      endsAt: 4_600_000,
      nodes: ['n01', 'n02', 'n03', 'login'],
    });
  });

  it('site S1: is no list when Slurm says that it has failed, whatever stands beside it', () => {
    const errors = [{ description: 'Failed while looking for jobs', source: 'slurm_load_jobs' }];
    expect(() => parseJobs(JSON.stringify({ errors, jobs: [job] }))).toThrow(
      expect.objectContaining({
        kind: 'unavailable',
        message: 'squeue: Failed while looking for jobs',
      }),
    );
  });

  it('is read in the shape of later versions, which wrap numbers and lists', () => {
    const [waiting] = parseJobs(
      answer({ ...job, job_state: ['PENDING'], start_time: { set: true, infinite: false, number: 1_000 } }),
    );
    expect(waiting).toMatchObject({ state: 'waiting', estimatedStartAt: 1_000_000, startedAt: undefined });
    expect(parseJobs(answer({ ...job, start_time: { set: false, number: 9 } }))[0]?.estimatedStartAt).toBe(
      undefined,
    );
  });

  it('has no end of walltime for a job that is being preempted', () => {
    const being = { ...job, job_state: 'RUNNING', start_time: 1_000, end_time: 1_010 };
    expect(parseJobs(answer({ ...being, preempt_time: 0 }))[0]?.endsAt).toBe(1_010_000);
    expect(parseJobs(answer({ ...being, preempt_time: 1_000 }))[0]?.endsAt).toBeUndefined();
  });

  it('has 500 jobs in one answer, on 16 nodes each', () => {
    const all = Array.from({ length: 500 }, (_, n) => ({
      ...job,
      job_id: n,
      job_state: 'RUNNING',
      nodes: 'n[01-16]',
    }));
    const jobs = parseJobs(answer(...all));
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(500);
    expect(jobs.every(({ nodes }) => nodes.length === 16)).toBe(true);
  });

  it("has others' jobs too, which are none of our business", () => {
    expect(parseJobs(answer({ ...job, name: 'lattice-qcd' }, job, {})).map(({ jobName }) => jobName)).toEqual(
      ['wsp-slot-aaaaaaaaaa'],
    );
  });

  it.each([
    ['PENDING', 'JobHeldUser', 'waiting', 'the job is held by its user (scontrol release lets it go)'],
    ['PENDING', 'Resources', 'waiting', 'it waits for nodes to become free'],
    ['PENDING', 'SomethingNew', 'waiting', 'Slurm says: SomethingNew'],
    ['PENDING', 'None', 'waiting', undefined],
    ['CONFIGURING', 'None', 'waiting', undefined],
    ['RUNNING', 'None', 'running', undefined],
    ['SUSPENDED', 'None', 'running', undefined],
    ['COMPLETING', 'None', 'ending', undefined],
    ['COMPLETED', 'None', 'completed', undefined],
    ['CANCELLED', 'None', 'cancelled', 'the job was cancelled (scancel)'],
    ['TIMEOUT', 'TimeLimit', 'timeout', "the job reached Slurm's time limit"],
    ['NODE_FAIL', 'None', 'failed', 'Slurm ended the job: NODE_FAIL'],
    ['PREEMPTED', 'None', 'preempted', 'a job of higher priority needed its nodes'],
    ['FAILED', 'NonZeroExitCode', 'failed', 'Slurm ended the job: FAILED (NonZeroExitCode)'],
    ['A_STATE_OF_2030', 'None', 'failed', 'Slurm ended the job: A_STATE_OF_2030'],
  ])('%s %s is %s', (job_state, state_reason, state, reason) => {
    expect(parseJobs(answer({ ...job, job_state, state_reason }))[0]).toMatchObject({ state, reason });
  });

  it.each([
    ['nothing', ''],
    ['an error text', 'slurm_load_jobs error: Unable to contact slurm controller'],
    ['half of it', answer(job).slice(0, 40)],
    ['no list', '{"errors":["x"]}'],
    ['null', 'null'],
  ])('is an error, never an empty list, when it is %s: that would end every lease', (_, text) => {
    expect(() => parseJobs(text)).toThrow(expect.objectContaining({ name: 'LrmError', kind: 'unavailable' }));
  });
});
