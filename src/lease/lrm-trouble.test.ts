import { describe, expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';
import type { Decision } from './decision.ts';

const typesOf = ({ events }: Decision): readonly string[] => events.map(({ type }) => type);

describe('report 1: an LRM that does not take a job now', () => {
  const requested = (): LeaseBench => {
    const bench = new LeaseBench();
    bench.create(1);
    return bench;
  };
  const deferred = (bench: LeaseBench, message = 'Socket timed out'): Decision =>
    bench.step({
      type: 'lrm.deferred',
      slotId: bench.slotId,
      doing: 'submit',
      kind: 'unavailable',
      message,
    });

  it('is told of once for each change of its words, and since when', () => {
    const bench = requested();
    expect(deferred(bench).events).toMatchObject([
      {
        type: 'slot.lrm-trouble',
        workspaceId: bench.ws,
        reason: { code: 'lrm_unavailable', message: 'Socket timed out' },
      },
    ]);
    const since = bench.now;
    bench.now += 5_000;
    expect(isEmpty(deferred(bench))).toBe(true);
    expect(typesOf(deferred(bench, 'no munged'))).toEqual(['slot.lrm-trouble']);
    expect(bench.slot.lrmTrouble).toEqual({
      doing: 'submit',
      kind: 'unavailable',
      message: 'no munged',
      since,
    });
    expect(bench.workspace.state).toBe('requested');
  });

  it('is forgotten when it takes the job, and what waits has no deadline then', () => {
    const bench = requested();
    deferred(bench);
    expect(typesOf(bench.submitted())).toEqual(['slot.lrm-answers', 'slot.queued', 'workspace.queued']);
    expect(bench.slot).toMatchObject({ lrmTrouble: null, deadlineAt: null });
  });

  it('ends the workspace when it has not taken it for submitTimeout, with its words', () => {
    const bench = requested();
    bench.now += 600_000;
    deferred(bench, 'no munged');
    bench.after(3_599_999);
    expect(bench.workspace.state).toBe('requested');
    bench.after(1);
    expect(bench.slot.state).toBe('releasing');
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'failed',
      reason: {
        code: 'submit_timeout',
        message: 'the batch scheduler has not accepted the job for 1h: no munged',
      },
    });
  });

  it('does not outlast the latest start, which then says what was the matter', () => {
    const bench = new LeaseBench();
    bench.create(1, { startBy: new Date(bench.now + 60_000).toISOString() });
    deferred(bench, 'no munged');
    bench.after(60_000);
    expect(bench.workspace.reason?.message).toContain('no munged');
  });
});

describe('report B: an LRM that does not say how its jobs are', () => {
  const unanswered = (bench: LeaseBench, message = 'no controller'): Decision =>
    bench.step({ type: 'lrm.unanswered', pool: 'default', message });

  it('is told to each slot that has a job there, and changes nothing else', () => {
    const bench = new LeaseBench().running(1);
    const before = bench.slot;
    expect(typesOf(unanswered(bench))).toEqual(['slot.lrm-trouble']);
    expect(isEmpty(unanswered(bench))).toBe(true);
    expect(bench.slot).toMatchObject({ ...before, lrmTrouble: { doing: 'list', message: 'no controller' } });
    expect(typesOf(bench.observed({}))).toContain('slot.lrm-answers');
    expect(bench.slot.lrmTrouble).toBeNull();
  });

  it('does not hide that a cancel has not worked; that ends when it has', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.destroy();
    const told = { doing: 'cancel', kind: 'unavailable', message: 'scancel: no controller' } as const;
    bench.step({ type: 'lrm.deferred', slotId: bench.slotId, ...told });
    expect(isEmpty(unanswered(bench))).toBe(true);
    bench.observed({ state: 'waiting' });
    expect(bench.slot.lrmTrouble).toMatchObject(told);
    expect(typesOf(bench.step({ type: 'lrm.cancelled', slotId: bench.slotId }))).toEqual([
      'slot.lrm-answers',
    ]);
  });
});

describe('what a job waits for', () => {
  const waiting = (bench: LeaseBench, more: object): Decision =>
    bench.observed({ state: 'waiting', reason: 'held by an administrator', ...more });
  const queued = (): LeaseBench => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    return bench;
  };

  it('site S6 is told with what becomes of it', () => {
    const bench = queued();
    expect(waiting(bench, { outlook: 'needs-somebody' }).events).toMatchObject([
      {
        reason: {
          message: 'held by an administrator; it starts only when its user or an administrator has acted',
        },
      },
    ]);
    expect(bench.slot.lrmOutlook).toBe('needs-somebody');
    expect(waiting(bench, { outlook: 'never' }).events).toMatchObject([
      {
        reason: {
          message: 'held by an administrator; as it was asked for, it will never start here',
        },
      },
    ]);
    expect(waiting(bench, { outlook: 'passes' }).events).toMatchObject([
      { reason: { message: 'held by an administrator; this passes by itself' } },
    ]);
  });

  it('site S7 shows no estimate that is over, or of a job that somebody has to let go', () => {
    const bench = queued();
    const estimate = (more: object): number | null => {
      waiting(bench, more);
      return bench.slot.estimatedStartAt;
    };
    const ahead = bench.now + 60_000;
    expect(estimate({ estimatedStartAt: ahead })).toBe(ahead);
    expect(estimate({ estimatedStartAt: bench.now - 1 })).toBeNull();
    expect(estimate({ estimatedStartAt: ahead, outlook: 'needs-somebody' })).toBeNull();
    expect(estimate({ estimatedStartAt: ahead, outlook: 'never' })).toBeNull();
    expect(estimate({ estimatedStartAt: ahead, state: 'starting' })).toBeNull();
  });

  it('site S7 gives pilots their time only from when the job can have begun', () => {
    const bench = queued();
    bench.observed({ state: 'starting', reason: 'its prolog runs' });
    bench.after(600_000);
    expect([bench.slot.state, bench.slot.deadlineAt]).toEqual(['queued', null]);
    bench.observed({ state: 'running' });
    expect(bench.slot.deadlineAt).toBe(bench.now + 60_000);
    // Slurm may call a job running before it configures its nodes.
    bench.observed({ state: 'starting' });
    expect(bench.slot.deadlineAt).toBeNull();
  });
});

describe('trouble with the LRM', () => {
  const told = { doing: 'cancel', kind: 'unavailable', message: 'no controller' } as const;
  const trouble = (bench: LeaseBench, more: object = {}, slotId = bench.slotId): Decision =>
    bench.step({ type: 'lrm.deferred', slotId, ...told, ...more });
  const unanswered = (bench: LeaseBench, pool = 'default'): Decision =>
    bench.step({ type: 'lrm.unanswered', pool, message: 'no controller' });
  const cancelled = (bench: LeaseBench, slotId = bench.slotId): Decision =>
    bench.step({ type: 'lrm.cancelled', slotId });

  it('of another kind is told anew; its beginning is that of what was tried', () => {
    const bench = new LeaseBench().running(1);
    const since = bench.now;
    trouble(bench);
    bench.now += 1_000;
    expect(trouble(bench, { kind: 'deferred' }).events).toMatchObject([{ reason: { code: 'lrm_deferred' } }]);
    expect(bench.slot).toMatchObject({ lrmTrouble: { kind: 'deferred', since }, deadlineAt: null });
    trouble(bench, { doing: 'submit' });
    expect(bench.slot.lrmTrouble).toMatchObject({ doing: 'submit', since: bench.now });
  });

  it('is nothing to a slot that is over or unknown', () => {
    const bench = new LeaseBench().running(1);
    bench.now += 1;
    bench.observed(undefined);
    for (const slotId of [bench.slotId, 'slot-zzzzzzzzzz']) {
      expect(isEmpty(trouble(bench, {}, slotId))).toBe(true);
      expect(isEmpty(cancelled(bench, slotId))).toBe(true);
    }
    expect(isEmpty(unanswered(bench))).toBe(true);
  });

  it('with a pool’s list is told to the slots of that pool that have a job', () => {
    const bench = new LeaseBench();
    bench.create(1);
    expect(isEmpty(unanswered(bench))).toBe(true);
    bench.submitted();
    expect(isEmpty(unanswered(bench, 'other'))).toBe(true);
    expect(unanswered(bench).events).toMatchObject([{ reason: { code: 'lrm_unavailable' } }]);
  });

  it('with something else than cancelling does not end with a cancel', () => {
    const bench = new LeaseBench().running(1);
    expect(isEmpty(cancelled(bench))).toBe(true);
    unanswered(bench);
    expect(isEmpty(cancelled(bench))).toBe(true);
    expect(bench.slot.lrmTrouble).toMatchObject({ doing: 'list' });
  });
});
