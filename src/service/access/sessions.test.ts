import { expect, it } from 'vitest';
import { countingRandom } from '../../../test/support/engine.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { Sessions } from './sessions.ts';

const halfADay = 12 * 3_600_000;

it('a session is of who logged in, for half a day and no longer', async () => {
  const clock = createVirtualClock(1_000);
  const sessions = new Sessions({ clock, random: countingRandom() });
  const { token, expiresAt } = sessions.begin('ann');
  expect(token).toMatch(/^wsps_[\w-]{43}$/);
  expect([expiresAt, sessions.userOf(token), sessions.userOf('wsps_other')]).toEqual([
    1_000 + halfADay,
    'ann',
    undefined,
  ]);
  await clock.advanceBy(halfADay - 1);
  expect(sessions.userOf(token)).toBe('ann');
  await clock.advanceBy(1);
  expect(sessions.userOf(token)).toBeUndefined();
});

it('a user has a hundred sessions at most: the oldest ends, and nobody else’s does', () => {
  const sessions = new Sessions({ clock: createVirtualClock(0), random: countingRandom() });
  const bob = sessions.begin('bob').token;
  const tokens = Array.from({ length: 101 }, () => sessions.begin('ann').token);
  expect(tokens.map(token => sessions.userOf(token))).toEqual([undefined, ...Array(100).fill('ann')]);
  expect(sessions.userOf(bob)).toBe('bob');
});

it('security 26: a login makes tokens that outlive it for five minutes only', async () => {
  const clock = createVirtualClock(0);
  const sessions = new Sessions({ clock, random: countingRandom() });
  const { token, expiresAt } = sessions.begin('ann');
  expect(sessions.latestEnd(token)).toBe(Infinity);
  await clock.advanceBy(5 * 60_000);
  expect([sessions.userOf(token), sessions.latestEnd(token)]).toEqual(['ann', expiresAt]);
  expect(sessions.latestEnd('another')).toBeUndefined();
});
