import { beforeEach, describe, expect, it } from 'vitest';
import { noQuota } from '../../lease/quota.ts';
import type { Quotas } from '../../lease/settings.ts';
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
    await expect(accounts.giveToken('bob', {})).rejects.toMatchObject({ code: 'conflict' });
    await accounts.giveToken('ann', {});
    // None of them is good any more.
    await clock.advanceBy(30 * 24 * 3_600_000);
    await accounts.giveToken('bob', {});
  });

  it('last thirty days, or as long as is said, and no longer than what they are made with', async () => {
    const now = clock.now();
    const day = 24 * 3_600_000;
    const ends = async (...asked: Parameters<Accounts['giveToken']>): Promise<number> =>
      accounts.endOf((await accounts.giveToken(...asked)).token) - now;
    expect(await ends('bob', {})).toBe(30 * day);
    expect(await ends('bob', { lifetimeMs: 7 })).toBe(7);
    const within = { tokenId: null, latestEnd: now + day };
    expect(await ends('bob', {}, within)).toBe(day);
    expect(await ends('bob', { lifetimeMs: day }, within)).toBe(day);
    await expect(accounts.giveToken('bob', { lifetimeMs: day + 1 }, within)).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect([accounts.endOf('of-the-file'), accounts.endOf('nobody’s')]).toEqual([Infinity, Infinity]);
  });

  it('are told of as they were asked for, and are nobody’s in what is told', async () => {
    const given = await accounts.giveToken('bob', { label: 'ci', scope: 'read', lifetimeMs: 60_000 });
    expect(given.token).toMatch(/^wsp_[\w-]{43}$/);
    expect(given.id).toMatch(/^tok-[a-z2-7]{10}$/);
    const { token, ...view } = given;
    expect(view).toEqual({
      ...{ id: given.id, user: 'bob', label: 'ci', scope: 'read', revokedAt: null },
      ...{ createdAt: '1970-01-01T00:16:40.000Z', expiresAt: '1970-01-01T00:17:40.000Z' },
    });
    const other = await accounts.giveToken('ann', {});
    expect([accounts.tokensOf('bob'), accounts.tokensOf(undefined).map(({ id }) => id)]).toEqual([
      [view],
      [given.id, other.id],
    ]);
    expect([given.id, 'tok-none'].map(id => accounts.ownerOfToken(id))).toEqual(['bob', undefined]);
    expect(accounts.callerOf(token)).toEqual({
      ...{ user: 'bob', role: 'user', scope: 'read', projects: [], tokenId: given.id },
    });
  });

  it('are revoked with all that were made with them, once and for all; no others are', async () => {
    const [root, other] = [await accounts.giveToken('bob', {}), await accounts.giveToken('bob', {})];
    const made = (tokenId: string) => accounts.giveToken('bob', {}, { tokenId, latestEnd: Infinity });
    const child = await made(root.id);
    const grandchild = await made(child.id);
    const sibling = await made(other.id);
    const first = await accounts.revokeToken(child.id);
    expect(first).toMatchObject({ id: child.id, revokedAt: '1970-01-01T00:16:40.000Z' });
    await clock.advanceBy(1_000);
    expect(await accounts.revokeToken(root.id)).toMatchObject({ revokedAt: '1970-01-01T00:16:41.000Z' });
    expect(await accounts.revokeToken(child.id)).toEqual(first);
    const opened = await open();
    for (const each of [accounts, opened])
      expect(
        [root, child, grandchild, other, sibling].map(({ token }) => each.callerOf(token)?.user),
      ).toEqual([...[undefined, undefined, undefined], ...['bob', 'bob']]);
    await expect(accounts.revokeToken('tok-none')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('and users and projects that change are heard of, until nobody listens', async () => {
    let changes = 0;
    const stop = accounts.onChange(() => {
      changes += 1;
    });
    const { id } = await accounts.giveToken('bob', {});
    await accounts.changeUser('bob', {});
    await accounts.changeProject('qcd', {});
    await accounts.revokeToken(id);
    expect(changes).toBe(4);
    stop();
    await accounts.changeUser('bob', {});
    expect(changes).toBe(4);
  });
});

describe('a stored document that cannot be read stops the start', () => {
  it.each([
    [
      'user',
      { name: 'bob', role: 'king', projects: [], disabled: false, quota: null },
      /user x: .*role.*"king"/,
    ],
    [
      'user',
      { name: 'bob', role: 'user', projects: 'qcd', disabled: false, quota: null },
      /projects is not list/,
    ],
    ['project', { quota: null }, /project x: its field name is not text/],
    ['token', { id: 'x', user: 'bob', label: '', scope: 'full' }, /token x: its field hash is not text/],
  ] as const)('of kind %s: %j', async (kind, body, words) => {
    await store.putAccess([{ kind, id: 'x', body }]);
    await expect(open()).rejects.toMatchObject({
      code: 'failed',
      message: expect.stringMatching(words) as string,
    });
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

  it('are told in order, each once, whoever is known only by the tokens file among them', async () => {
    for (const name of ['zoe', 'ann', 'bob']) await accounts.changeUser(name, {});
    expect(accounts.users().map(({ name }) => name)).toEqual(['admin', 'ann', 'bob', 'zoe']);
    for (const name of ['qcd', 'bio', 'sky']) await accounts.changeProject(name, {});
    expect(accounts.projects().map(({ name }) => name)).toEqual(['bio', 'qcd', 'sky']);
  });

  it('are members of the projects that they were put into, and of no others', async () => {
    await accounts.changeProject('b', {});
    await accounts.changeProject('a', {});
    await accounts.changeUser('bob', { projects: ['a', 'b'] });
    await accounts.changeUser('cid', { projects: ['b'] });
    await accounts.changeUser('dan', {});
    expect(accounts.projects().map(({ name, members }) => [name, members])).toEqual([
      ['a', ['bob']],
      ['b', ['bob', 'cid']],
    ]);
    expect(await accounts.changeProject('a', {})).toMatchObject({ name: 'a', members: ['bob'] });
  });

  it('have quotas of projects too, and are told of them at the start', async () => {
    expect((await accounts.changeProject('qcd', { quota: { vms: 3 } })).quota).toMatchObject({
      vms: 3,
      cpus: null,
    });
    await accounts.changeProject('bio', {});
    await accounts.changeUser('bob', {});
    expect([...(quotas?.projects ?? [])]).toEqual([['qcd', { ...noQuota, vms: 3 }]]);
    expect([...(quotas?.users ?? [])]).toEqual([]);
    expect((await accounts.changeProject('qcd', {})).quota.vms).toBe(3);
    quotas = undefined;
    await open();
    expect([...((quotas as Quotas | undefined)?.projects.keys() ?? [])]).toEqual(['qcd']);
    expect((await accounts.changeProject('qcd', { quota: null })).quota).toEqual(noQuota);
  });

  it('may ask as themselves, unless they are disabled', async () => {
    await accounts.changeProject('qcd', {});
    await accounts.changeUser('bob', { role: 'operator', projects: ['qcd'] });
    expect(accounts.callerOfUser('bob')).toEqual({
      ...{ user: 'bob', role: 'operator', scope: 'full', projects: ['qcd'], tokenId: null },
    });
    expect(accounts.callerOfUser('admin')?.role).toBe('admin');
    await accounts.changeUser('ann', { disabled: true });
    expect([accounts.callerOfUser('ann'), accounts.callerOf('of-the-file')]).toEqual([undefined, undefined]);
    expect(accounts.user('ann').disabled).toBe(true);
  });
});
