import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../../test/support/lease.ts';
import type { Effect, HistoryEvent } from '../../lease/decision.ts';
import type { Slot, Vm, Workspace } from '../../lease/model.ts';
import type { Commit, Store } from './store.ts';

/** A commit of nothing, to be filled. */
export const emptyCommit: Commit = {
  at: 0,
  workspaces: [],
  slots: [],
  vms: [],
  events: [],
  effects: [],
  retired: [],
  done: [],
  secrets: [],
  forgotten: [],
};

/** A store under test that can be left (as a crash would) and opened again. `remove` cleans up for good. */
export interface StoreUnderTest {
  open(): Store;
  remove(): void;
}

/** Entities as the core makes them. */
const made = new LeaseBench().running(1);
const workspace = (id: string, state: string, more: Partial<Workspace> = {}): Workspace => ({
  ...made.workspace,
  id,
  state: state as Workspace['state'],
  ...more,
});
const slot = (id: string, more: Partial<Slot> = {}): Slot => ({ ...made.slot, id, ...more });
const vm = (id: string, more: Partial<Vm> = {}): Vm => ({
  ...must(made.vms[0]),
  id,
  reason: { code: 'x', message: "it's “quoted” \u0000" },
  ...more,
});
const effect = (key: string): Effect => ({ kind: 'lrm.submit', key, slotId: 'slot-a' });
/** Any word will do for a type: older releases had others. */
const event = (type: string, workspaceId: string | null): HistoryEvent => ({
  at: 1_700_000_000_123,
  type: type as HistoryEvent['type'],
  workspaceId,
  slotId: null,
  vmId: null,
  node: 'n1',
  reason: type === 'w.failed' ? { code: 'lost', message: 'gone' } : null,
});

/** What every store must do. */
export function storeContract(name: string, make: () => StoreUnderTest): void {
  const withStore = async (
    use: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
  ): Promise<void> => {
    const place = make();
    let store = place.open();
    try {
      await use(store, async () => {
        await store.close();
        store = place.open();
        return store;
      });
    } finally {
      await store.close();
      place.remove();
    }
  };

  describe(`store contract: ${name}`, () => {
    it('keeps the documents of access, by kind and id, and the audit log', () =>
      withStore(async (store, reopen) => {
        expect(await store.loadAccess()).toEqual([]);
        await store.putAccess([
          { kind: 'user', id: 'a', body: { name: 'a' } },
          { kind: 'project', id: 'a', body: { name: 'p' } },
        ]);
        await store.putAccess([{ kind: 'user', id: 'a', body: { name: 'b', text: "it's “quoted”" } }]);
        const entry = {
          at: '2026-01-01T00:00:00.000Z',
          user: null,
          token: null,
          method: 'POST',
          path: '/x',
          status: 401,
          code: 'unauthorized',
          address: '::1',
        };
        await store.appendAudit([entry, { ...entry, path: '/y' }, { ...entry, path: '/z' }]);
        await store.putAccess([
          { kind: 'token', id: 't', body: {} },
          { kind: 'token', id: 't', body: null },
        ]);
        const again = await reopen();
        expect(await again.loadAccess()).toEqual([
          { kind: 'user', id: 'a', body: { name: 'b', text: "it's “quoted”" } },
          { kind: 'project', id: 'a', body: { name: 'p' } },
        ]);
        expect(await again.audit({ before: 3, limit: 9 })).toEqual([
          { seq: 2, ...entry, path: '/y' },
          { seq: 1, ...entry },
        ]);
        expect(await again.audit({ before: 99, limit: 1 })).toMatchObject([{ seq: 3, path: '/z' }]);
        await again.appendAudit([{ ...entry, user: 'ann', at: '2026-02-01T00:00:00.000Z' }]);
        expect(await again.audit({ before: 99, limit: 9, user: 'ann' })).toMatchObject([{ seq: 4 }]);
        const sinceAt = Date.parse('2026-01-15T00:00:00Z');
        expect(await again.audit({ before: 99, limit: 9, sinceAt })).toMatchObject([{ seq: 4 }]);
      }));

    it('gives the events of some types alone', () =>
      withStore(async store => {
        await store.commit({ ...emptyCommit, events: ['a', 'b', 'c', 'a'].map(type => event(type, null)) });
        expect(await store.lastEvent()).toBe(4);
        const found = await store.events({ after: 1, types: ['a', 'c'], limit: 9 });
        expect(found.map(({ seq, type }) => `${seq} ${type}`)).toEqual(['3 c', '4 a']);
      }));

    it('is empty at first', () =>
      withStore(async store => {
        expect(await store.load()).toEqual({
          workspaces: [],
          slots: [],
          vms: [],
          effects: [],
          secrets: new Map(),
          used: [],
        });
        expect(await store.events({ after: 0, limit: 10 })).toEqual([]);
      }));

    it('keeps the newest version of each entity, as it was', () =>
      withStore(async (store, reopen) => {
        const many = Array.from({ length: 300 }, (_, index) => vm(`v${index}`));
        await store.commit({
          ...emptyCommit,
          workspaces: [workspace('a', 'requested'), workspace('b', 'requested')],
          slots: [slot('s')],
          vms: many,
        });
        await store.commit({ ...emptyCommit, workspaces: [workspace('a', 'running')] });
        const { workspaces, slots, vms } = await (await reopen()).load();
        expect(workspaces).toEqual([workspace('a', 'running'), workspace('b', 'requested')]);
        expect(slots).toEqual([slot('s')]);
        expect(vms).toEqual(many);
      }));

    it('numbers history upwards for ever and gives it in order', () =>
      withStore(async (store, reopen) => {
        await store.commit({ ...emptyCommit, at: 5, events: [event('w.one', 'a'), event('x.two', 'b')] });
        const again = await reopen();
        await again.commit({
          ...emptyCommit,
          at: 6,
          events: [event('w.failed', 'a'), event('slot.lrm', null)],
        });
        const all = await again.events({ after: 0, limit: 10 });
        expect(all.map(({ type }) => type)).toEqual(['w.one', 'x.two', 'w.failed', 'slot.lrm']);
        expect(all.map(({ recordedAt }) => recordedAt)).toEqual([5, 5, 6, 6]);
        expect(all[2]).toEqual({ ...event('w.failed', 'a'), seq: all[2]?.seq, recordedAt: 6, owner: null });
        const seqs = all.map(({ seq }) => seq);
        expect(seqs).toEqual([...new Set(seqs)].sort((one, other) => one - other));

        const [first, second] = seqs as [number, number];
        const types = async (query: Parameters<Store['events']>[0]): Promise<string[]> =>
          (await again.events(query)).map(({ type }) => type);
        expect(await types({ after: first, limit: 2 })).toEqual(['x.two', 'w.failed']);
        expect(await types({ after: 0, workspaceId: 'a', limit: 10 })).toEqual(['w.one', 'w.failed']);
        expect(await types({ after: second, workspaceId: 'a', limit: 10 })).toEqual(['w.failed']);
        expect(await types({ after: 0, workspaceId: 'a', limit: 1 })).toEqual(['w.one']);
      }));

    it('keeps effects in order until they are done', () =>
      withStore(async (store, reopen) => {
        await store.commit({ ...emptyCommit, effects: [effect('z'), effect('a'), effect('m')] });
        await store.commit({ ...emptyCommit, effects: [effect('a'), effect('b')], done: ['z', 'unknown'] });
        const { effects } = await (await reopen()).load();
        expect(effects).toEqual([effect('a'), effect('m'), effect('b')]);
      }));

    it('owes anew what one commit says is done and is to be done again', () =>
      withStore(async (store, reopen) => {
        await store.commit({ ...emptyCommit, effects: [effect('a'), effect('b')] });
        await store.commit({ ...emptyCommit, effects: [effect('a')], done: ['a'] });
        expect((await (await reopen()).load()).effects).toEqual([effect('b'), effect('a')]);
      }));

    it('keeps secrets until they are forgotten', () =>
      withStore(async (store, reopen) => {
        const secrets = [
          { key: 'a', value: '1' },
          { key: 'b', value: '2' },
        ];
        await store.commit({ ...emptyCommit, secrets });
        await store.commit({ ...emptyCommit, secrets: [{ key: 'a', value: '3' }], forgotten: ['b', 'c'] });
        expect((await (await reopen()).load()).secrets).toEqual(new Map([['a', '3']]));
      }));

    describe('what is retired', () => {
      const minute = 60_000;
      /** Two workspaces of ann's and one of bob's, ended, each with a VM in a slot of its own. */
      const ended = (['a', 'b', 'c'] as const).map((id, index) => ({
        ...workspace(id, 'ended', {
          name: id === 'c' ? 'other' : 'same',
          owner: id === 'c' ? 'bob' : 'ann',
          project: id === 'b' ? 'lattice' : null,
          clientToken: id === 'b' ? 'token' : null,
          slotId: `slot-${id}`,
          vmIds: [`vm-${id}`],
          createdAt: index,
          startsAt: 0,
          endedAt: (index + 1) * minute,
        }),
      }));
      const ran = (id: string, type: string, at: number): HistoryEvent => ({
        ...event(type, id),
        vmId: `vm-${id}`,
        at,
      });
      const all = {
        ...emptyCommit,
        workspaces: ended,
        slots: ended.map(({ slotId, owner }) => slot(slotId, { owner })),
        vms: ended.map(({ id, slotId }) => vm(`vm-${id}`, { workspaceId: id, slotId })),
        events: [
          ...ended.flatMap(({ id }) => [ran(id, 'vm.running', 0), ran(id, 'vm.paused', 1_000)]),
          ...ended.flatMap(({ id }) => [ran(id, 'vm.running', 2_000), ran(id, 'vm.terminated', 10_000)]),
          ran('a', 'vm.running', 20_000),
          ran('a', 'vm.failed', 21_000),
        ],
      };
      const unit = (id: 'a' | 'b' | 'c') => {
        const workspaces = ended.filter(each => each.id === id);
        return { slotId: `slot-${id}`, workspaces, vmIds: [`vm-${id}`] };
      };
      const idsOf = async (store: Store, query: Partial<Parameters<Store['workspaces']>[0]>) =>
        (await store.workspaces({ limit: 9, ...query })).map(found => found.workspace.id).join('');

      it('is not loaded, and its use is', () =>
        withStore(async (store, reopen) => {
          await store.commit(all);
          await store.commit({ ...emptyCommit, retired: [unit('a'), unit('c')] });
          await store.commit({ ...emptyCommit, retired: [unit('b')] });
          const state = await (await reopen()).load();
          expect([state.workspaces, state.slots, state.vms]).toEqual([[], [], []]);
          const used = [
            { owner: 'ann', project: null, vmMs: minute },
            { owner: 'ann', project: 'lattice', vmMs: 2 * minute },
            { owner: 'bob', project: null, vmMs: 3 * minute },
          ];
          expect(state.used.toSorted((one, other) => one.vmMs - other.vmMs)).toEqual(used);
        }));

      it('is found beside the others, with its slot and its VMs', () =>
        withStore(async (store, reopen) => {
          await store.commit(all);
          await store.commit({ ...emptyCommit, retired: [unit('a'), unit('c')] });
          const again = await reopen();
          expect((await again.load()).workspaces).toEqual([ended[1]]);
          expect(await idsOf(again, {})).toBe('abc');
          expect(await idsOf(again, { limit: 2 })).toBe('ab');
          expect(await idsOf(again, { after: { createdAt: 0, id: 'a' } })).toBe('bc');
          expect(await idsOf(again, { owner: 'ann', newestFirst: true })).toBe('ba');
          expect(await idsOf(again, { name: 'same', newestFirst: true, limit: 1 })).toBe('b');
          expect(await idsOf(again, { id: 'c', owner: 'ann' })).toBe('');
          expect(await idsOf(again, { clientToken: 'token', owner: 'ann' })).toBe('b');
          expect(await idsOf(again, { sinceAt: 1, states: ['ended'] })).toBe('bc');
          expect(await idsOf(again, { states: ['running'] })).toBe('');
          const [found] = await again.workspaces({ id: 'c', limit: 1 });
          expect([found?.workspace, found?.among.slots.get('slot-c'), found?.among.vms.get('vm-c')]).toEqual([
            ended[2],
            all.slots[2],
            all.vms[2],
          ]);
          expect((await again.slots(['slot-a', 'slot-b', 'none'])).map(({ id }) => id)).toEqual([
            'slot-a',
            'slot-b',
          ]);
        }));

      it('has its use in a period, but for what is named', () =>
        withStore(async store => {
          await store.commit(all);
          await store.commit({ ...emptyCommit, retired: (['a', 'b', 'c'] as const).map(unit) });
          const { cpus, memoryMiB } = must(made.vms[0]);
          const use = (owner: string, project: string | null, vmMs: number) => ({
            owner,
            project,
            vmMs,
            cpuMs: vmMs * cpus,
            memoryMiBMs: vmMs * memoryMiB,
          });
          expect(await store.pastUse(0, minute, [])).toEqual([
            use('ann', null, 11_000),
            use('ann', 'lattice', 10_000),
            use('bob', null, 10_000),
          ]);
          expect(await store.pastUse(9_000, 20_500, ['b'])).toEqual([
            use('ann', null, 1_500),
            use('bob', null, 1_000),
          ]);
        }));

      it('still says whose its events are', () =>
        withStore(async store => {
          const slots = [slot('slot-s', { owner: 'eve' })];
          const ofSlot = { ...event('slot.idle', null), slotId: 'slot-s' };
          await store.commit({ ...all, slots: [...all.slots, ...slots] });
          await store.commit({ ...emptyCommit, events: [ofSlot, event('x', null)], retired: [unit('c')] });
          const found = await store.events({
            after: 0,
            limit: 99,
            types: ['vm.terminated', 'slot.idle', 'x'],
          });
          expect(found.map(({ owner }) => owner)).toEqual(['ann', 'ann', 'bob', 'eve', null]);
          const some = await store.events({ after: 0, limit: 99, workspaceIds: ['b', 'c'] });
          expect(new Set(some.map(({ workspaceId }) => workspaceId))).toEqual(new Set(['b', 'c']));
        }));
    });

    it('stores all of a commit or nothing, and goes on after a failure', () =>
      withStore(async (store, reopen) => {
        const bad = { ...event('x', null), type: null } as unknown as HistoryEvent;
        const commit = { ...emptyCommit, workspaces: [workspace('a', 'requested')], events: [bad] };
        await expect(store.commit(commit)).rejects.toThrow(/constraint/i);
        await store.commit({ ...emptyCommit, workspaces: [workspace('b', 'requested')] });
        expect((await (await reopen()).load()).workspaces).toEqual([workspace('b', 'requested')]);
      }));
  });
}
