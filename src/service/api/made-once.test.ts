import { expect, it } from 'vitest';
import { MadeOnce } from './made-once.ts';

it('what is made of an event is made once, and a bounded number of them is held', () => {
  const made = new MadeOnce<number>();
  let count = 0;
  const of = (seq: number): number =>
    made.of(seq, () => {
      count += 1;
      return -seq;
    });
  expect([of(1), of(2), of(1)]).toEqual([-1, -2, -1]);
  expect(count).toBe(2);
  for (let seq = 3; seq <= 5_001; seq += 1) of(seq);
  expect(of(5_001)).toBe(-5_001);
  expect(count).toBe(5_001);
  // It had begun anew.
  of(1);
  expect(count).toBe(5_002);
});
