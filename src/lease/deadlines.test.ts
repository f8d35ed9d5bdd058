import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';
import { isEmpty, nextDeadlineAt } from './decide.ts';

describe('deadlines', () => {
  it('are none while a lease waits in the queue', () => {
    const bench = new LeaseBench();
    expect(nextDeadlineAt(bench.state)).toBeNull();
    bench.create(1);
    bench.submitted();
    expect(nextDeadlineAt(bench.state)).toBeNull();
  });

  it('do nothing before they are due', () => {
    const bench = new LeaseBench().running(1);
    bench.now = (nextDeadlineAt(bench.state) ?? 0) - 1;
    expect(isEmpty(bench.step({ type: 'clock', slotId: 'slot-new' }))).toBe(true);
  });

  it('end a deployment that takes too long, and name the VMs that are late', () => {
    const bench = new LeaseBench().reserved(3);
    bench.vm(0, 'running');
    bench.vm(1, 'starting');
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 120_000);
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'deploy_timeout' } });
    expect(bench.workspace.reason?.message).toContain('node-1 (starting on n1), node-2 (pending on n2)');
  });

  it('repeat the cancelling of a job that does not go', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.destroy();
    for (const waited of [30_000, 60_000, 90_000]) {
      expect(bench.atDeadline().effects).toMatchObject([{ kind: 'lrm.cancel' }]);
      expect(bench.now).toBe(startedAt + waited);
    }
    bench.observed(undefined);
    expect(nextDeadlineAt(bench.state)).toBeNull();
  });

  it('end a job that runs without any pilot ever reporting, and cancel it', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    bench.observed({ state: 'running' });
    bench.now += 1_000;
    bench.observed({ state: 'running' });
    const { effects } = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 60_000);
    expect(bench.workspace).toMatchObject({ cause: 'failed', reason: { code: 'reserve_timeout' } });
    expect(bench.workspace.reason?.message).toContain('no pilot has reported within 1m');
    expect(effects).toMatchObject([{ kind: 'lrm.cancel' }]);
  });

  it('begin anew for a job that was put back into the queue', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.observed({ state: 'running' });
    bench.observed({ state: 'waiting' });
    expect(nextDeadlineAt(bench.state)).toBeNull();
    bench.now += 100_000;
    bench.observed({ state: 'running' });
    expect(nextDeadlineAt(bench.state)).toBe(bench.now + 60_000);
  });

  it('are all past after what was due was done: the clock never spins', () => {
    const bench = new LeaseBench().running(2);
    for (let round = 0; round < 20; round++) {
      const next = nextDeadlineAt(bench.state);
      if (next === null) return;
      bench.atDeadline();
      expect(nextDeadlineAt(bench.state) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(bench.now);
    }
  });
});

describe('what is late', () => {
  it('is told of exactly: how many nodes are reserved, and for how long the LRM has not answered', () => {
    const bench = new LeaseBench();
    bench.create(4);
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    bench.node('n2', 'reserving');
    bench.atDeadline();
    expect(bench.workspace.reason?.message).toContain('only 2 of 4 nodes');
    const untaken = new LeaseBench();
    untaken.create(1);
    const trouble = { doing: 'submit', kind: 'unavailable', message: 'no munged' } as const;
    untaken.step({ type: 'lrm.deferred', slotId: untaken.slotId, ...trouble });
    untaken.after(2 * 3_600_000);
    expect(untaken.workspace.reason?.message).toBe(
      'the batch scheduler has not accepted the job for 2h: no munged',
    );
  });

  it('in a deployment fails it; guests that are up have their time', () => {
    const bench = new LeaseBench().reserved(3);
    bench.vm(0, 'running');
    const decision = bench.atDeadline();
    expect(bench.workspace).toMatchObject({ cause: 'failed', reason: { code: 'deploy_timeout' } });
    expect(bench.workspace.reason?.message).not.toContain('node-0');
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([
      { node: 'n0', graceMs: 10_000 },
      { node: 'n1', graceMs: 0 },
      { node: 'n2', graceMs: 0 },
    ]);
  });

  it('in one that may be partial has the time of a deployment again to go', () => {
    const bench = new LeaseBench().reserved(2, { keepPartial: true });
    bench.vm(0, 'running');
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({ id: bench.ws, deployDeadlineAt: bench.now + 120_000 });
  });

  it('for a latest start is destroyed at once, and said to have been starting', () => {
    const startBy = new Date(startedAt + 60_000).toISOString();
    const bench = new LeaseBench().reserved(2, { startBy });
    bench.vm(0, 'running');
    const decision = bench.after(60_000);
    expect(bench.workspace).toMatchObject({ cause: 'cancelled' });
    expect(bench.workspace.reason?.message).toContain('its VMs were still starting');
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([{ graceMs: 0 }, { graceMs: 0 }]);
  });

  it('to report its end has its whole slot given up, though another VM is off', () => {
    const bench = new LeaseBench().running(2);
    bench.destroy();
    bench.vm(0, 'terminated');
    expect(bench.ordersOf(bench.atDeadline(), 'release')).toHaveLength(2);
  });
});

describe('nothing is due', () => {
  it('of a lease that is suspended, whose latest start was kept', () => {
    const startBy = new Date(startedAt + 60_000).toISOString();
    const bench = new LeaseBench().running(1, { startBy });
    bench.observed({ state: 'suspended' });
    expect(nextDeadlineAt(bench.state)).toBeNull();
  });

  it('of a workspace that is to be started anew and waits for its job to go', () => {
    const bench = new LeaseBench().running(2, { requeue: true });
    bench.node('n0', 'preempting');
    for (const index of [0, 1]) bench.vm(index, 'terminated');
    for (const node of ['n0', 'n1']) bench.node(node, 'released');
    for (let round = 0; round < 5; round++) {
      bench.atDeadline();
      expect(nextDeadlineAt(bench.state)).toBeGreaterThan(bench.now);
    }
    expect(bench.workspace.state).toBe('ending');
  });

  it('but the cancelling of a suspended job that does not go', () => {
    const bench = new LeaseBench().running(1);
    bench.observed({ state: 'suspended' });
    bench.destroy();
    expect(bench.atDeadline().effects).toMatchObject([{ kind: 'lrm.cancel' }]);
    expect(bench.now).toBe(startedAt + 30_000);
  });
});
