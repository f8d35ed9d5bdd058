import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';

function queued(): LeaseBench {
  const bench = new LeaseBench();
  bench.create(2);
  bench.submitted();
  bench.now += 1_000;
  return bench;
}

describe('what the LRM answers', () => {
  it('queues what it takes, fails what it refuses', () => {
    expect([queued().slot.state, queued().workspace.state]).toEqual(['queued', 'queued']);
    const bench = new LeaseBench();
    bench.create(1);
    bench.step({ type: 'lrm.refused', slotId: bench.slotId, message: 'Invalid account' });
    expect(bench.slot).toMatchObject({ state: 'failed', endedAt: startedAt });
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'failed',
      reason: { code: 'lrm_refused', message: 'the LRM refused the request: Invalid account' },
    });
    expect(bench.vmStates).toEqual(['terminated']);
  });

  it('has a second job for the same slot cancelled', () => {
    const bench = queued();
    expect(isEmpty(bench.submitted('7'))).toBe(true);
    expect(bench.submitted('8').effects).toMatchObject([{ kind: 'lrm.cancel', jobId: '8' }]);
    expect(bench.slot.lrmJobId).toBe('7');
  });

  it('may come after the first pilot', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.node('n0', 'reserving');
    bench.submitted();
    expect(bench.slot).toMatchObject({ state: 'reserving', lrmJobId: '7' });
    bench.node('n0', 'reserved');
    expect(bench.workspace.state).toBe('deploying');
  });
});

describe('what the LRM says of a job', () => {
  it('reaches the slot, and the history when it is something new', () => {
    const bench = queued();
    const waiting = {
      state: 'waiting' as const,
      reason: 'held by ann',
      estimatedStartAt: startedAt + 60_000,
    };
    expect(bench.observed(waiting).events).toMatchObject([
      { type: 'slot.lrm', workspaceId: bench.ws, reason: { code: 'waiting', message: 'held by ann' } },
    ]);
    expect(bench.slot).toMatchObject({ lrmState: 'waiting', lrmReason: 'held by ann' });
    expect(isEmpty(bench.observed(waiting))).toBe(true);
    expect(bench.observed({ ...waiting, estimatedStartAt: startedAt + 61_000 }).events).toEqual([]);
    expect(bench.slot.estimatedStartAt).toBe(startedAt + 61_000);
  });

  it.each([
    ['cancelled', 'cancelled', "the LRM's job 7 was cancelled: by uid 0"],
    ['timeout', 'failed', "the LRM's job 7 ran out of its walltime: by uid 0"],
    ['failed', 'failed', "the LRM's job 7 failed: by uid 0"],
    ['completed', 'failed', "the LRM's job 7 ended before any of its pilots had reported: by uid 0"],
  ] as const)(
    'original defect 8, a job that dies in the queue leaves its VMs pending: ends the workspace when it is %s while it waits',
    (state, cause, message) => {
      const bench = queued();
      bench.observed({ state, reason: 'by uid 0' });
      expect(bench.slot).toMatchObject({ state: 'failed', endedAt: bench.now });
      expect(bench.workspace).toMatchObject({
        state: 'ended',
        cause,
        reason: { code: `lrm_${state}`, message },
      });
      expect(bench.vmStates).toEqual(['terminated', 'terminated']);
    },
  );

  it('fails VMs that ran in a job which is gone', () => {
    const bench = new LeaseBench().running(2);
    bench.now += 1_000;
    bench.observed(undefined);
    expect(bench.vmStates).toEqual(['failed', 'failed']);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed', reason: { code: 'lrm_lost' } });
    expect(bench.slot.state).toBe('failed');
  });

  it('does not judge a job by a list that was asked for before it was submitted', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.step({ type: 'lrm.observed', pool: 'default', takenAt: bench.now - 1, jobs: [] });
    expect(bench.slot.state).toBe('queued');
  });

  it('notices that a job is gone also when the clock has been set back since it was submitted', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.now -= 300_000;
    bench.observed(undefined);
    expect(bench.slot).toMatchObject({ state: 'failed', reason: { code: 'lrm_lost' } });
  });

  it('finds the job whose submission was never answered', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.observed({ state: 'waiting', reason: 'Priority' });
    expect(bench.slot).toMatchObject({ state: 'queued', lrmJobId: '7', lrmReason: 'Priority' });
    expect(bench.workspace.state).toBe('queued');
  });

  it('lets a preempted workspace end as preempted', () => {
    const bench = new LeaseBench().running(1);
    bench.node('n0', 'preempting');
    bench.now += 1_000;
    bench.observed({ state: 'preempted' });
    expect(bench.slot.state).toBe('released');
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
    expect(bench.vmStates).toEqual(['terminated']);
  });
});

describe('jobs that no slot wants', () => {
  const orphan = { jobId: '99', slotId: 'slot-zzzzzzzzzz' };

  it('are cancelled, once a minute at most', () => {
    const bench = new LeaseBench();
    const [first] = bench.observed(orphan).effects;
    expect(first).toMatchObject({ kind: 'lrm.cancel', jobId: '99' });
    bench.now += 1_000;
    expect(bench.observed(orphan).effects[0]?.key).toBe(first?.key);
    bench.now += 60_000;
    expect(bench.observed(orphan).effects[0]?.key).not.toBe(first?.key);
  });

  it('are left alone when they are over or going', () => {
    const bench = new LeaseBench();
    expect(isEmpty(bench.observed({ ...orphan, state: 'completed' }))).toBe(true);
    expect(isEmpty(bench.observed({ ...orphan, state: 'ending' }))).toBe(true);
  });

  it('include those of slots that are over, unless the list is older than that', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.step({ type: 'lrm.refused', slotId: bench.slotId, message: 'no' });
    expect(isEmpty(bench.observed({}))).toBe(true);
    bench.now += 1;
    expect(bench.observed({}).effects).toMatchObject([{ kind: 'lrm.cancel', jobId: '7' }]);
  });
});
