import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';
import type { ObservedJob } from './model.ts';

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
      reason: { code: 'lrm_refused', message: 'the batch scheduler refused the request: Invalid account' },
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
    ['cancelled', 'cancelled', 'job 7 was cancelled: by uid 0'],
    ['timeout', 'failed', 'job 7 reached its time limit: by uid 0'],
    ['failed', 'failed', 'job 7 failed: by uid 0'],
    ['completed', 'failed', 'job 7 ended before any of its pilots had reported: by uid 0'],
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

describe('the LRM’s words of a job', () => {
  const typesOf = (bench: LeaseBench, job: Partial<ObservedJob>): readonly string[] =>
    bench.observed(job).events.map(({ type }) => type);

  it('are told when any of them changes: its state, the reason, the outlook', () => {
    const bench = queued();
    const first = { state: 'waiting', reason: 'Priority' } as const;
    expect(typesOf(bench, first)).toEqual(['slot.lrm']);
    expect(typesOf(bench, { ...first, reason: 'Resources' })).toEqual(['slot.lrm']);
    expect(typesOf(bench, { ...first, reason: 'Resources', outlook: 'passes' })).toEqual(['slot.lrm']);
    expect(typesOf(bench, { ...first, reason: 'Resources', outlook: 'passes' })).toEqual([]);
  });

  it.each([
    ['cancelled', true, 'this service has cancelled it', 'was cancelled by this service: by uid 0'],
    ['cancelled', false, 'by uid 0', 'was cancelled: by uid 0'],
    ['ending', true, 'by uid 0', undefined],
  ] as const)('of one that is %s, by us: %s', (state, byUs, message, gone) => {
    const bench = new LeaseBench().running(1);
    if (byUs) bench.maps.slots.set(bench.slotId, { ...bench.slot, cancelOrdered: true });
    const { events } = bench.observed({ state, reason: 'by uid 0' });
    expect(events[0]).toMatchObject({ type: 'slot.lrm', reason: { code: state, message } });
    if (gone !== undefined) expect(bench.workspace.reason?.message).toBe(`job 7 ${gone}`);
  });

  it('may be none', () => {
    const bench = queued();
    bench.observed({ state: 'failed' });
    expect(bench.workspace.reason?.message).toBe('job 7 failed');
  });

  it('name the job’s nodes when they are all told', () => {
    const bench = queued();
    bench.observed({ nodes: ['n0'] });
    expect(bench.slot.jobNodes).toEqual([]);
    bench.observed({ nodes: ['n0', 'n1'] });
    expect(bench.slot.jobNodes).toEqual(['n0', 'n1']);
    expect(isEmpty(bench.observed({ nodes: ['n0', 'n1'] }))).toBe(true);
  });
});

describe('what comes too late from the LRM', () => {
  it('is nothing to a slot: a refusal of what has a job, an extension of what is over or unknown', () => {
    const bench = queued();
    expect(isEmpty(bench.step({ type: 'lrm.refused', slotId: bench.slotId, message: 'no' }))).toBe(true);
    expect(isEmpty(bench.step({ type: 'lrm.refused', slotId: 'slot-zzzzzzzzzz', message: 'no' }))).toBe(true);
    const later = { type: 'lrm.extended', jobEndsAt: startedAt + 1 } as const;
    expect(isEmpty(bench.step({ ...later, slotId: 'slot-zzzzzzzzzz' }))).toBe(true);
    bench.observed({ state: 'failed' });
    expect(isEmpty(bench.step({ ...later, slotId: bench.slotId }))).toBe(true);
  });

  it('is nothing to a slot that it does not know of: one without a job yet', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.now += 1_000;
    expect(isEmpty(bench.observed(undefined))).toBe(true);
  });

  it('has a job put back into the queue cancelled while its pilots leave', () => {
    const bench = new LeaseBench().running(2);
    bench.node('n0', 'preempting');
    expect(bench.slot.state).toBe('preempting');
    expect(bench.effectsOf(bench.observed({ state: 'waiting' }), 'lrm.cancel')).toHaveLength(1);
  });
});

describe('the job’s end', () => {
  const told = (bench: LeaseBench, endsAt: number | null): readonly string[] =>
    bench.ordersOf(bench.observed({ endsAt }), 'job-end').map(({ node }) => node);

  it('is told to pilots when it is another one than they know, and not to those that leave', () => {
    const bench = new LeaseBench();
    bench.create(3);
    bench.submitted();
    bench.node('n0', 'reserved');
    bench.node('n1', 'reserving');
    const endsAt = bench.now + 3_600_000;
    expect(told(bench, endsAt)).toEqual([]);
    expect(told(bench, endsAt)).toEqual([]);
    expect(told(bench, null)).toEqual([]);
    expect(bench.slot.jobEndsAt).toBe(endsAt);
    expect(told(bench, endsAt + 1)).toEqual(['n0', 'n1']);
    bench.node('n1', 'failed');
    expect(told(bench, endsAt + 2)).toEqual(['n0']);
  });

  it('is told to those of a slot that runs, but to none that is on its way out', () => {
    const bench = new LeaseBench().running(2);
    const endsAt = bench.now + 3_600_000;
    bench.observed({ endsAt });
    bench.node('n0', 'releasing');
    const orders = bench.ordersOf(bench.observed({ endsAt: endsAt + 1 }), 'job-end');
    expect(orders).toMatchObject([{ node: 'n1', endsAt: endsAt + 1 }]);
  });
});
