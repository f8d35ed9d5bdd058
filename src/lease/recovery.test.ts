import { expect, it } from 'vitest';
import { LeaseBench, must, settings } from '../../test/support/lease.ts';

/**
 * The service comes back after it was away for long: what waits for word from nodes is given its
 * time again.
 */

const awayMs = 3_600_000;

function afterAnOutage(begun: LeaseBench): LeaseBench {
  begun.now += awayMs;
  begun.step({ type: 'service.started' });
  return begun;
}

it('gives a workspace that was ending the time again that its pilots have to say so', () => {
  const bench = new LeaseBench().running();
  bench.destroy();
  expect(must(bench.workspace.endingDeadlineAt)).toBeLessThan(bench.now + awayMs);
  afterAnOutage(bench);
  expect(bench.workspace).toMatchObject({
    state: 'ending',
    endingDeadlineAt: bench.now + settings.reserveTimeoutMs,
  });
  // Its guests went by themselves while nobody could hear it: that is what the history has, not a
  // VM that was lost.
  bench.after(settings.reserveTimeoutMs - 1);
  for (const index of [0, 1]) bench.vm(index, 'terminated');
  expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'destroyed' });
  expect(bench.vmStates).toEqual(['terminated', 'terminated']);
});

it('lets a lease that was expiring be over when its guests are off and its time is, not later', () => {
  const bench = new LeaseBench().running();
  const endsAt = must(bench.workspace.endsAt);
  bench.after(endsAt - bench.now - settings.shutdownGraceMs);
  bench.step({ type: 'clock', slotId: 'slot-none' });
  expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'expired' });
  bench.step({ type: 'service.started' });
  expect(must(bench.workspace.endingDeadlineAt)).toBeGreaterThan(endsAt);
  for (const index of [0, 1]) bench.vm(index, 'terminated');
  expect(bench.workspace.state).toBe('ending');
  bench.after(endsAt - bench.now - 1);
  expect(bench.workspace.state).toBe('ending');
  bench.after(1);
  expect(bench.workspace).toMatchObject({ state: 'ended', endedAt: endsAt });
});

it('gives a workspace that was being deployed that time, too, and leaves the end of its lease', () => {
  const bench = new LeaseBench().reserved();
  afterAnOutage(bench);
  expect(bench.workspace).toMatchObject({
    state: 'deploying',
    deployDeadlineAt: bench.now + settings.reserveTimeoutMs,
  });
  const running = new LeaseBench().running();
  const { endsAt } = running.workspace;
  afterAnOutage(running);
  expect(running.workspace.endsAt).toBe(endsAt);
});

it('keeps a slot that nobody is in for no longer', () => {
  const policy = { kind: 'reuse', keepMs: 600_000, factor: 4, vmsPerNode: 1, shared: false } as const;
  const bench = new LeaseBench({ policy }).running(1);
  bench.destroy();
  bench.vm(0, 'terminated');
  const { state, deadlineAt } = bench.slot;
  expect([state, deadlineAt]).toEqual(['ready', bench.now + 600_000]);
  bench.now += 599_999;
  bench.step({ type: 'service.started' });
  bench.after(1);
  expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'idle' } });
});

it('takes no time away that is left', () => {
  const bench = new LeaseBench({ deployTimeoutMs: 2 * awayMs }).reserved();
  const { deployDeadlineAt } = bench.workspace;
  afterAnOutage(bench);
  expect(bench.workspace.deployDeadlineAt).toBe(deployDeadlineAt);
});

it('gives a slot that was being reserved or released the time again, unless more is left', () => {
  const reserving = new LeaseBench();
  reserving.create(2);
  reserving.submitted();
  reserving.node('n0', 'reserving');
  afterAnOutage(reserving);
  expect(reserving.slot).toMatchObject({ state: 'reserving', deadlineAt: reserving.now + 60_000 });
  for (const [releaseTimeoutMs, leftMs] of [
    [30_000, 60_000],
    [awayMs + 60_001, 60_001],
  ] as const) {
    const bench = new LeaseBench({ releaseTimeoutMs }).running(1);
    bench.destroy();
    bench.vm(0, 'terminated');
    afterAnOutage(bench);
    expect(bench.slot).toMatchObject({ state: 'releasing', deadlineAt: bench.now + leftMs });
  }
});

it('gives a slot that waits in the queue no deadline, and an end that has more time no less', () => {
  const queued = new LeaseBench();
  queued.create(1);
  queued.submitted();
  afterAnOutage(queued);
  expect(queued.slot.deadlineAt).toBeNull();
  const bench = new LeaseBench({ shutdownGraceMs: 2 * awayMs }).running(1, { durationMs: 20 * awayMs });
  bench.destroy();
  const { endingDeadlineAt } = bench.workspace;
  afterAnOutage(bench);
  expect(bench.workspace.endingDeadlineAt).toBe(endingDeadlineAt);
});

it('takes every pilot for silent from now, those that were silent before too', () => {
  const bench = new LeaseBench().running(2);
  for (const index of [0, 1])
    bench.connect(`n${index}`, [{ vmId: must(bench.vms[index]).id, state: 'running', context: 'ok' }]);
  bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0', hungUp: true });
  bench.now += 10_000;
  bench.step({ type: 'service.started' });
  const silent = { connected: false, silentSince: bench.now, hungUp: false };
  expect(bench.slot.nodes).toMatchObject([silent, silent]);
});
