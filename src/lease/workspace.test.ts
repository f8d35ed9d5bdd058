import { describe, expect, it } from 'vitest';
import { kindsOf, LeaseBench, must, startedAt } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';

describe('a lease', () => {
  it('begins when all VMs run, and not before', () => {
    const bench = new LeaseBench().reserved(3);
    expect(bench.workspace.state).toBe('deploying');
    bench.vm(0, 'running');
    bench.vm(2, 'running');
    expect(bench.workspace).toMatchObject({ state: 'deploying', startsAt: null });
    bench.now += 5_000;
    bench.vm(1, 'running');
    const startsAt = startedAt + 5_000;
    expect(bench.workspace).toMatchObject({ state: 'running', startsAt, endsAt: startsAt + 3_600_000 });
  });

  it('never lasts longer than its job allows: pilots need time at the end', () => {
    const bench = new LeaseBench().reserved(1);
    bench.observed({ endsAt: startedAt + 600_000 });
    bench.vm(0, 'running');
    expect(bench.workspace.endsAt).toBe(startedAt + 600_000 - 42_000);
  });

  it('gets shorter when the LRM brings the end of the job forward, and never longer than it was asked for', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.observed({ endsAt: startedAt + 10_000_000 });
    expect(bench.workspace.endsAt).toBe(startedAt + 600_000);
    bench.observed({ endsAt: startedAt + 342_000 });
    expect(bench.workspace.endsAt).toBe(startedAt + 300_000);
    expect(bench.events.at(-1)).toMatchObject({
      type: 'workspace.shortened',
      reason: { code: 'lrm_shortened' },
    });
    bench.observed({ endsAt: startedAt + 10_000_000 });
    expect(bench.workspace.endsAt).toBe(startedAt + 600_000);
    expect(bench.events.at(-1)).toMatchObject({ type: 'workspace.lengthened' });
  });

  it('that the LRM cuts short at once still lets guests shut down', () => {
    const bench = new LeaseBench().running(1);
    bench.observed({ endsAt: startedAt + 20_000 });
    expect(bench.workspace.endsAt).toBe(startedAt + 10_000);
    const decision = bench.atDeadline();
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([{ graceMs: 750 }]);
  });

  it('that expires lets guests shut down before its end, and is over at its end, not before', () => {
    const bench = new LeaseBench().running(2, { durationMs: 600_000 });
    const endsAt = startedAt + 600_000;
    const decision = bench.atDeadline();
    expect(bench.now).toBe(endsAt - 10_000);
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'expired', endingDeadlineAt: endsAt });
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([
      { node: 'n0', graceMs: 9_000 },
      { node: 'n1', graceMs: 9_000 },
    ]);
    bench.now += 500;
    bench.vm(0, 'terminated');
    expect(bench.slot.state).toBe('ready');
    bench.vm(1, 'terminated');
    expect(bench.slot.state).toBe('releasing');
    expect(bench.workspace.state).toBe('ending');
    bench.atDeadline();
    expect(bench.now).toBe(endsAt);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'expired', endedAt: endsAt });
  });

  it.each([
    [1_000, 500],
    [5_000, 1_000],
    [60_000, 6_000],
    [600_000, 10_000],
  ])('of %d ms keeps %d ms of it for shutting down', (durationMs, graceMs) => {
    const bench = new LeaseBench().running(1, { durationMs });
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + durationMs - graceMs);
  });

  it('that expired while the service was away still lets guests shut down', () => {
    const bench = new LeaseBench().running(1, { durationMs: 60_000 });
    bench.now += 600_000;
    const decision = bench.step({ type: 'clock', slotId: 'slot-new' });
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([{ graceMs: 5_000 }]);
    bench.vm(0, 'terminated');
    bench.atDeadline();
    expect(bench.workspace.state).toBe('ended');
  });
});

describe('all or none', () => {
  it('ends the whole ensemble when one VM fails, and names it', () => {
    const bench = new LeaseBench().reserved(3);
    bench.vm(0, 'running');
    const decision = bench.vm(1, 'failed', { reason: { code: 'no_space', message: 'the disk is full' } });
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'failed',
      reason: { code: 'no_space', message: 'VM node-1 on node n1 failed: the disk is full' },
    });
    // The guest that is up may shut down; the one that never got there is destroyed.
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([
      { node: 'n0', graceMs: 10_000 },
      { node: 'n2', graceMs: 0 },
    ]);
    bench.vm(0, 'terminated');
    const last = bench.vm(2, 'terminated');
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed' });
    expect(bench.ordersOf(last, 'release')).toHaveLength(3);
  });

  it('ends the running ensemble when one VM crashes', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'failed');
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed' });
    expect(bench.vmStates).toEqual(['failed', 'stopping']);
  });

  it('ends the ensemble when a guest is off before the others are up', () => {
    const bench = new LeaseBench().reserved(2);
    bench.vm(0, 'terminated');
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'vm_ended_early' } });
  });

  it('goes on when a guest shuts itself down, until all have', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'stopping');
    bench.vm(0, 'terminated');
    expect(bench.workspace.state).toBe('running');
    const decision = bench.vm(1, 'terminated');
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'destroyed',
      reason: { code: 'guest_shutdown' },
    });
    expect(bench.ordersOf(decision, 'release')).toHaveLength(2);
  });
});

describe('destroy', () => {
  it('original defect 10, a group is deleted only once all are bound: what waits ends at once, and its job is cancelled', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    const decision = bench.destroy();
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'destroyed', endedAt: startedAt });
    expect(bench.workspace.reason?.message).toBe('destroyed by ann');
    expect(bench.vmStates).toEqual(['terminated', 'terminated']);
    expect(bench.slot.state).toBe('releasing');
    expect(decision.effects).toMatchObject([{ kind: 'lrm.cancel', jobId: '7' }]);
    bench.observed({ state: 'cancelled' });
    expect(bench.slot).toMatchObject({ state: 'released', endedAt: startedAt });
  });

  it('remembers that a job which is being submitted is not wanted', () => {
    const bench = new LeaseBench();
    bench.create(1);
    expect(bench.destroy().effects).toEqual([]);
    expect(bench.workspace.state).toBe('ended');
    expect(bench.submitted().effects).toMatchObject([{ kind: 'lrm.cancel', jobId: '7' }]);
    bench.observed(undefined);
    expect(bench.slot.state).toBe('releasing');
    bench.now += 1;
    bench.observed(undefined);
    expect(bench.slot.state).toBe('released');
  });

  it('needs no job at all when the LRM refuses what was given up', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.destroy();
    bench.step({ type: 'lrm.refused', slotId: bench.slotId, message: 'no' });
    expect(bench.slot.state).toBe('released');
    expect(bench.workspace.cause).toBe('destroyed');
  });

  it('shuts running guests down, then releases all nodes, then asks the LRM', () => {
    const bench = new LeaseBench().running(2);
    const stop = bench.destroy();
    expect(stop.effects).toMatchObject([
      { kind: 'pilot', node: 'n0', order: { kind: 'stop-vm', graceMs: 10_000 } },
      { kind: 'pilot', node: 'n1', order: { kind: 'stop-vm', graceMs: 10_000 } },
    ]);
    bench.vm(0, 'terminated');
    expect(bench.slot.state).toBe('ready');
    const release = bench.vm(1, 'terminated');
    expect(kindsOf(release.effects)).toEqual(['release', 'release']);
    expect(bench.workspace.state).toBe('ended');
    bench.node('n0', 'releasing');
    bench.node('n0', 'released');
    bench.node('n1', 'releasing');
    expect(bench.node('n1', 'released').effects).toMatchObject([{ kind: 'lrm.observe' }]);
    expect(bench.slot.state).toBe('releasing');
    bench.observed({ state: 'completed' });
    expect(bench.slot.state).toBe('released');
  });

  it('near the end of the lease does not outlast it', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.now = startedAt + 600_000 - 10_001;
    const decision = bench.destroy();
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([{ graceMs: 9_001 }]);
    // A pilot that is silent then is not waited for beyond it.
    expect(bench.workspace.endingDeadlineAt).toBe(startedAt + 600_000);
  });

  it('in the last moment of the lease still leaves a moment to report it', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.now = startedAt + 600_000 - 1;
    bench.destroy();
    expect(bench.workspace.endingDeadlineAt).toBeGreaterThanOrEqual(bench.now + 500);
  });

  it('is done once, and what has ended stays as it ended', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    expect(isEmpty(bench.destroy())).toBe(true);
    bench.vm(0, 'terminated');
    expect(isEmpty(bench.destroy())).toBe(true);
  });

  it('does not know what was never there', () => {
    const bench = new LeaseBench();
    const input = { type: 'destroy', workspaceId: 'ws-zzzzzzzzzz', by: 'ann' } as const;
    expect(bench.refusal(input)).toMatchObject({ code: 'not_found' });
  });

  it('destroys what does not go: the node is told to release at the deadline, then the job is cancelled', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    const release = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 12_000);
    expect(release.effects).toMatchObject([{ kind: 'pilot', order: { kind: 'release', graceMs: 0 } }]);
    const cancel = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 42_000);
    expect(cancel.effects).toMatchObject([{ kind: 'lrm.cancel' }]);
    expect(bench.workspace.state).toBe('ending');
    bench.observed({ state: 'cancelled' });
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'destroyed' });
    expect(bench.vmStates).toEqual(['terminated']);
    expect(must(bench.slot.endedAt)).toBe(bench.now);
  });
});

describe('the last moments of a lease', () => {
  it('are told with their reasons', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.observed({ endsAt: startedAt + 342_000 });
    bench.observed({ endsAt: startedAt + 10_000_000 });
    expect(bench.events.at(-1)).toMatchObject({ workspaceId: bench.ws, reason: { code: 'lrm_lengthened' } });
    bench.atDeadline();
    expect(bench.workspace.reason).toEqual({ code: 'expired', message: 'the lease has reached its end' });
  });

  it.each([
    // In time; a little late: the end stays, but a guest has a second; after the end: all of its grace again.
    [590_000, 600_000, 9_000],
    [599_500, 600_500, 750],
    [600_000, 610_000, 9_000],
  ])('begun %d ms after its start are over at %d ms', (begunMs, overMs, graceMs) => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    const decision = bench.after(begunMs);
    expect(bench.workspace).toMatchObject({ state: 'ending', endingDeadlineAt: startedAt + overMs });
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([{ graceMs }]);
  });

  it('are not moved by what the LRM says of the job then', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.atDeadline();
    const { endsAt } = bench.workspace;
    bench.observed({ endsAt: startedAt + 100_000 });
    expect(bench.workspace).toMatchObject({ state: 'ending', endsAt });
    expect(bench.events.some(({ type }) => type === 'workspace.shortened')).toBe(false);
  });

  it('are told of only when they change', () => {
    const bench = new LeaseBench().running(1, { durationMs: 600_000 });
    bench.observed({ endsAt: startedAt + 10_000_000 });
    bench.observed({ endsAt: startedAt + 10_000_001 });
    const about = bench.events.filter(({ type }) => /workspace\.(shortened|lengthened)/.test(type));
    expect(about).toEqual([]);
  });
});
