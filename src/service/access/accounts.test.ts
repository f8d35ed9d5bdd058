import { beforeEach, describe, expect, it } from 'vitest';
import { noQuota, type Quotas } from '../../lease/quota.ts';
import { createVirtualClock, type VirtualClock } from '../../platform/virtual-clock.ts';
import { systemRandom } from '../../platform/random.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../store/store.ts';
import { Accounts } from './accounts.ts';

let clock: VirtualClock;
let store: Store;
let accounts: Accounts;
let quotas: Quotas | undefined;

async function open(): Promise<Accounts> {
  const opened = new Accounts({
    clock,
    random: systemRandom,
    store,
    file: { users: () => ['admin', 'ann'], userOf: token => (token === 'of-the-file' ? 'ann' : undefined) },
    quotas: { user: { ...noQuota, vms: 10 }, project: noQuota },
    quotasChanged: changed => {
      quotas = changed;
    },
  });
  await opened.load();
  return opened;
}

beforeEach(async () => {
  clock = createVirtualClock(1_000_000);
  store = openSqliteStore({ directory: ':memory:' });
  accounts = await open();
});

describe('tokens', () => {
  it('are known until they expire, are revoked, or their user is disabled', async () => {
    const one = await accounts.giveToken('bob', { lifetimeMs: 10_000 });
    const two = await accounts.giveToken('bob', {});
    expect(accounts.callerOf(one.token)).toMatchObject({ user: 'bob', role: 'user', tokenId: one.id });
    await clock.advanceBy(10_000);
    expect(accounts.callerOf(one.token)).toBeUndefined();
    await accounts.changeUser('bob', { disabled: true });
    expect(accounts.callerOf(two.token)).toBeUndefined();
    await expect(accounts.giveToken('bob', {})).rejects.toMatchObject({ code: 'conflict' });
    await accounts.changeUser('bob', { disabled: false });
    expect(accounts.callerOf(two.token)?.user).toBe('bob');
    await accounts.revokeToken(two.id);
    expect(accounts.callerOf(two.token)).toBeUndefined();
    expect(accounts.callerOf('of-the-file')).toMatchObject({ user: 'ann', tokenId: null });
    expect(accounts.callerOf('')).toBeUndefined();
  });

  it('are kept as hashes alone, and outlive the service', async () => {
    const { token } = await accounts.giveToken('bob', { label: 'laptop' });
    expect(JSON.stringify(await store.loadAccess())).not.toContain(token.slice(4));
    const again = await open();
    expect(again.callerOf(token)?.user).toBe('bob');
    expect(again.tokensOf('bob')).toMatchObject([{ label: 'laptop', scope: 'full', revokedAt: null }]);
    expect(JSON.stringify(again.tokensOf(undefined))).not.toContain('hash');
  });

  it('are limited in number, the dead ones not counted', async () => {
    const given = [];
    for (let count = 0; count < 100; count++) given.push(await accounts.giveToken('bob', {}));
    await expect(accounts.giveToken('bob', {})).rejects.toMatchObject({ code: 'conflict' });
    await accounts.revokeToken(given[0]?.id ?? '');
    await accounts.giveToken('bob', {});
  });
});

describe('users and projects', () => {
  it('begin with nothing said: users, and admin', () => {
    expect(accounts.users()).toMatchObject([
      { name: 'admin', role: 'admin', disabled: false, projects: [] },
      { name: 'ann', role: 'user', quota: { vms: 10, cpus: null } },
    ]);
  });

  it('change in what is named alone', async () => {
    await accounts.changeProject('qcd', {});
    await accounts.changeUser('bob', { role: 'operator' });
    expect(await accounts.changeUser('bob', { projects: ['qcd'] })).toMatchObject({
      role: 'operator',
      projects: ['qcd'],
    });
    expect(accounts.projects()).toMatchObject([{ name: 'qcd', members: ['bob'] }]);
    await expect(accounts.changeUser('bob', { projects: ['none'] })).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await open()).user('bob')).toMatchObject({ role: 'operator', projects: ['qcd'] });
  });

  it('have the ordinary quota until they get one of their own, which begins as that', async () => {
    expect(quotas?.user.vms).toBe(10);
    expect((await accounts.changeUser('bob', { quota: { cpus: 4 } })).quota).toMatchObject({
      vms: 10,
      cpus: 4,
    });
    expect((await accounts.changeUser('bob', { quota: { vms: null } })).quota).toMatchObject({
      vms: null,
      cpus: 4,
    });
    expect(quotas?.users.get('bob')).toMatchObject({ vms: null, cpus: 4 });
    await accounts.changeUser('bob', { quota: null });
    expect(quotas?.users.has('bob')).toBe(false);
  });

  it('change only what the store has taken', async () => {
    store.putAccess = () => Promise.reject(new Error('disk full'));
    await expect(accounts.changeUser('bob', { role: 'admin' })).rejects.toThrow('disk full');
    expect(accounts.user('bob').role).toBe('user');
  });
});
