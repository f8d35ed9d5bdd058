import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../test/support/lease.ts';

const minute = 60_000;

/** The time in the history of what a pilot says happened at `at`; the slot is an hour old. */
function recordedAt(at: number): number | undefined {
  const bench = new LeaseBench();
  bench.create(1);
  bench.submitted();
  bench.now += 60 * minute;
  const body = { kind: 'node', state: 'reserving' } as const;
  bench.step({ type: 'pilot.notified', slotId: bench.slotId, node: 'n0', seq: 1, at, body });
  return bench.events.find(({ type }) => type === 'node.reserving')?.at;
}

describe('the time that a pilot tells', () => {
  it.each([-15, 0, 30, 60, 75])('is believed %d minutes after the slot was made', minutes => {
    expect(recordedAt(startedAt + minutes * minute)).toBe(startedAt + minutes * minute);
  });

  it.each([-15 * minute - 1, 75 * minute + 1, -startedAt])(
    'is now instead, when it is said to be %d ms after that',
    ms => {
      expect(recordedAt(startedAt + ms)).toBe(startedAt + 60 * minute);
    },
  );
});
