import { beforeEach, expect, it } from 'vitest';
import { noQuota } from '../../lease/quota.ts';
import { systemRandom } from '../../platform/random.ts';
import { createVirtualClock, type VirtualClock } from '../../platform/virtual-clock.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { Accounts } from './accounts.ts';
import { Callers } from './callers.ts';
import { Sessions } from './sessions.ts';

let clock: VirtualClock;
let accounts: Accounts;
let sessions: Sessions;
let callers: Callers;
beforeEach(async () => {
  clock = createVirtualClock(1_000_000);
  accounts = new Accounts({
    clock,
    random: systemRandom,
    store: openSqliteStore({ directory: ':memory:' }),
    file: { users: () => [], userOf: token => (token === 'of-the-file' ? 'eve' : undefined) },
    quotas: { user: noQuota, project: noQuota },
    quotasChanged: () => undefined,
  });
  await accounts.load();
  sessions = new Sessions({ clock, random: systemRandom });
  callers = new Callers({ accounts, sessions, clock });
});

it('the bearer of a token is who was given it, who is in the tokens file with it, or who has logged in', async () => {
  const { token, id } = await accounts.giveToken('ann', { scope: 'read' });
  const login = sessions.begin('bob').token;
  expect([token, 'of-the-file', login, 'other'].map(each => callers.callerOf(each))).toMatchObject([
    { user: 'ann', scope: 'read', tokenId: id },
    { user: 'eve', scope: 'full', tokenId: null },
    { user: 'bob', scope: 'full', tokenId: null },
    undefined,
  ] as object[]);
  await accounts.changeUser('bob', { disabled: true });
  expect(callers.callerOf(login)).toBeUndefined();
});

it('what a token gives out ends with it, and what a login gives out with that', async () => {
  const { token } = await accounts.giveToken('ann', { lifetimeMs: 5_000 });
  const login = sessions.begin('bob');
  expect([token, login.token, 'of-the-file'].map(each => callers.latestEnd(each))).toEqual([
    clock.now() + 5_000,
    ...[Infinity, Infinity],
  ]);
  await clock.advanceBy(5 * 60_000);
  expect(callers.latestEnd(login.token)).toBe(login.expiresAt);
});

it('what goes on in somebody’s name ends at once when their token is revoked, and they are refused', async () => {
  const { token, id } = await accounts.giveToken('ann', {});
  const standing = callers.stand(token);
  expect([standing.caller().user, standing.ended.aborted]).toEqual(['ann', false]);
  await accounts.changeUser('bob', {});
  expect(standing.ended.aborted).toBe(false);
  await accounts.revokeToken(id);
  expect(standing.ended.aborted).toBe(true);
  expect(() => standing.caller()).toThrow(expect.objectContaining({ code: 'unauthorized' }));
});

it('what has ended does not begin again', async () => {
  const { token } = await accounts.giveToken('ann', {});
  const standing = callers.stand(token);
  await accounts.changeUser('ann', { disabled: true });
  await accounts.changeUser('ann', { disabled: false });
  expect(standing.ended.aborted).toBe(true);
  expect(() => standing.caller()).toThrow(expect.objectContaining({ code: 'unauthorized' }));
});

it('what goes on in somebody’s name ends soon after their token has expired, at once when they ask', async () => {
  const { token } = await accounts.giveToken('ann', { lifetimeMs: 20_000 });
  const [silent, asking] = [callers.stand(token), callers.stand(token)];
  await clock.advanceBy(20_000);
  expect([silent.ended.aborted, asking.ended.aborted]).toEqual([false, false]);
  expect(() => asking.caller()).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  expect([silent.ended.aborted, asking.ended.aborted]).toEqual([false, true]);
  await clock.advanceBy(10_000);
  expect(silent.ended.aborted).toBe(true);
});

it('what somebody may no more ends, though they are still somebody', async () => {
  await accounts.changeUser('ann', { role: 'operator' });
  const { token } = await accounts.giveToken('ann', {});
  const standing = callers.stand(token, ({ role }) => role === 'operator');
  expect(standing.ended.aborted).toBe(false);
  await accounts.changeUser('ann', { role: 'user' });
  expect(standing.ended.aborted).toBe(true);
  expect(callers.callerOf(token)?.user).toBe('ann');
});

it('nobody looks after what is over', async () => {
  const { token, id } = await accounts.giveToken('ann', {});
  const standing = callers.stand(token);
  await clock.advanceBy(40_000);
  standing.release();
  expect(clock.nextAt()).toBeUndefined();
  await accounts.revokeToken(id);
  expect(standing.ended.aborted).toBe(false);
});
