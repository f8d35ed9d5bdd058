import { expect, it } from 'vitest';
import { Shares } from './shares.ts';

const busy = expect.objectContaining({ code: 'busy' });

it('places are for all, and of each some only; one that is given back is another’s', () => {
  const shares = new Shares('streams', { all: 3, each: 2 });
  const [first, second] = [shares.take('ann'), shares.take('ann')];
  expect(() => shares.take('ann')).toThrow('2 streams of ann already');
  const third = shares.take('bob');
  expect(() => shares.take('eve')).toThrow('3 streams already');
  expect(() => shares.take('eve')).toThrow(busy);
  first();
  first();
  const fourth = shares.take('ann');
  expect(() => shares.take('ann')).toThrow(busy);
  expect(() => shares.take('eve')).toThrow(busy);
  for (const giveBack of [second, third, fourth]) giveBack();
  for (const who of ['eve', 'eve', 'bob']) shares.take(who);
  expect(() => shares.take('ann')).toThrow('3 streams already');
});
