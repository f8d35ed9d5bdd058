import { describe, expect, it } from 'vitest';
import { pause } from './clock.ts';
import { createVirtualClock } from './virtual-clock.ts';

describe('createVirtualClock', () => {
  it('fires by time, then in the order of setting', () => {
    const clock = createVirtualClock(1_000);
    const fired: string[] = [];
    for (const [delayMs, name] of [
      [20, 'late'],
      [10, 'first'],
      [10, 'second'],
      [-5, 'now'],
    ] as const)
      clock.after(delayMs, () => fired.push(`${name}@${clock.now()}`));
    expect(clock.nextAt()).toBe(1_000);
    while (clock.runNext());
    expect(fired).toEqual(['now@1000', 'first@1010', 'second@1010', 'late@1020']);
    expect(clock.monotonicMs()).toBe(20);
    expect(clock.nextAt()).toBeUndefined();
  });

  it('forgets a stopped timer', async () => {
    const clock = createVirtualClock(0);
    const stop = clock.after(5, () => expect.unreachable());
    stop();
    stop();
    await clock.advanceTo(10);
    expect(clock.now()).toBe(10);
  });

  it('runs what promises set up between timers', async () => {
    const clock = createVirtualClock(0);
    const seen: number[] = [];
    const work = async (): Promise<void> => {
      for (let round = 0; round < 3; round++) {
        await pause(clock, 10);
        seen.push(clock.now());
      }
    };
    void work();
    await clock.advanceBy(25);
    expect(seen).toEqual([10, 20]);
    await clock.advanceBy(5);
    expect(seen).toEqual([10, 20, 30]);
  });
});
