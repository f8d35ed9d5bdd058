import { expect, it } from 'vitest';
import { createVirtualClock, settle } from '../../platform/virtual-clock.ts';
import { Turns } from './turns.ts';

/** Each task takes ten milliseconds. */
function tasks() {
  const clock = createVirtualClock(0);
  const turns = new Turns(clock);
  const begun: [name: string, atMs: number][] = [];
  const take = (user: string, name: string): Promise<string> =>
    turns.take(user, async () => {
      begun.push([name, clock.monotonicMs()]);
      await new Promise<void>(resolve => {
        clock.after(10, resolve);
      });
      if (name === 'bad') throw new Error('bad');
      return name;
    });
  return { clock, turns, begun, take };
}

it('security 16: a user’s turns come one after the other with a rest of nine times as long, and others do not wait for them', async () => {
  const { clock, begun, take } = tasks();
  const results = Promise.all([take('ann', 'a1'), take('ann', 'a2'), take('bob', 'b1')]);
  await clock.advanceBy(1_000);
  expect(await results).toEqual(['a1', 'a2', 'b1']);
  expect(begun).toEqual([
    ['a1', 0],
    ['b1', 0],
    ['a2', 100],
  ]);
});

it('a turn that fails is over like any other', async () => {
  const { clock, begun, take } = tasks();
  const results = Promise.allSettled([take('ann', 'bad'), take('ann', 'good')]);
  await clock.advanceBy(1_000);
  expect(await results).toMatchObject([{ reason: new Error('bad') }, { value: 'good' }]);
  expect(begun.at(-1)).toEqual(['good', 100]);
});

it('security 16: a user of whom too many stand in line is refused, and no other', async () => {
  const { clock, take } = tasks();
  const waiting = Promise.all(Array.from({ length: 128 }, (_, index) => take('ann', `${index}`)));
  await settle();
  await expect(take('ann', 'more')).rejects.toMatchObject({ code: 'busy' });
  const other = take('bob', 'b');
  await clock.advanceBy(20_000);
  expect(await other).toBe('b');
  await waiting;
  const again = take('ann', 'again');
  await clock.advanceBy(200);
  expect(await again).toBe('again');
});
