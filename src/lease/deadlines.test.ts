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
