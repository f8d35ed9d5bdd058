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
