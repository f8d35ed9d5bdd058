import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vmMemoryMiB } from '../memory.ts';
import { kindsOf, LeaseBench, must, settings, startedAt } from '../../../test/support/lease.ts';
import { nextDeadlineAt } from '../decide.ts';
import type { Slot, Vm } from '../model.ts';
import { keptUntil, roomIn, warmDueAt } from './held.ts';
import type { ReusePolicy } from './reuse.ts';
import type { WarmPolicy } from './warm.ts';

const reuse: ReusePolicy = { kind: 'reuse', keepMs: 600_000, factor: 2, vmsPerNode: 2, shared: false };
const warm: WarmPolicy = {
  kind: 'warm',
  slots: 1,
  nodes: 2,
  memoryMiBPerNode: 2_048,
  cpusPerNode: 2,
  durationMs: 4 * 3_600_000,
  vmsPerNode: 2,
  shared: false,
};
const small = (count: number, memoryMiB = 256) => ({
  groups: [{ name: 'node', image: 'mini', count, memoryMiB, cpus: 1 }],
  durationMs: 600_000,
});

/** A bench whose first workspace `ws-a…` runs in its slot, with a job that ends in an hour. */
function held(policy: ReusePolicy = reuse, memoryMiB = 2_048): LeaseBench {
  const bench = new LeaseBench({ policy });
  bench.step(bench.createInput(small(1, memoryMiB), 'a'));
  bench.submitted();
  bench.node('n0', 'reserving');
  bench.node('n0', 'reserved');
  bench.vm(0, 'running');
  bench.observed({ endsAt: startedAt + 3_600_000 });
  return bench;
}
/** The first workspace ends, so that nobody is in the slot. */
function emptied(bench: LeaseBench): LeaseBench {
  bench.destroy();
  bench.vm(0, 'terminated');
  return bench;
}
const slotOf = (bench: LeaseBench, letter: string): string =>
  must(bench.maps.workspaces.get(`ws-${letter.repeat(10)}`)).slotId;
const wide = { ...small(1), groups: [{ name: 'node', image: 'mini', count: 1, memoryMiB: 2_048, cpus: 1 }] };

describe('reuse', () => {
  it('keeps the slot when its workspace has ended, and deploys the next one in it at once', () => {
    const bench = emptied(held());
    expect(bench.slot).toMatchObject({ state: 'ready', deadlineAt: bench.now + 600_000, owner: 'ann' });
    expect(bench.events.at(-2)).toMatchObject({ type: 'slot.idle', workspaceId: bench.ws });
    bench.now += 60_000;
    const { effects } = bench.step(bench.createInput(wide, 'b'));
    expect(kindsOf(effects)).toEqual(['start-vm']);
    expect(slotOf(bench, 'b')).toBe(bench.slotId);
    expect(must(bench.maps.workspaces.get('ws-bbbbbbbbbb')).state).toBe('deploying');
    expect(bench.slot).toMatchObject({ deadlineAt: null, workspaceIds: ['ws-bbbbbbbbbb'] });
  });

  it('gives it back when nobody came', () => {
    const bench = emptied(held());
    bench.after(599_999);
    expect(bench.slot.state).toBe('ready');
    const { effects } = bench.after(1);
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'idle' } });
    expect(kindsOf(effects)).toContain('release');
  });

  it('puts nobody into a slot of which a node is drained, and gives it back when nobody is in it', () => {
    const bench = held(reuse, 256);
    bench.maps.slots.set(bench.slotId, { ...bench.slot, memoryMiBPerNode: 1_024, cpusPerNode: 2 });
    const endsAt = startedAt + 3_600_000;
    bench.observed({ endsAt, draining: [{ node: 'n0', reason: 'kernel update' }] });
    expect(bench.workspace.state).toBe('running');
    bench.step(bench.createInput(small(1), 'b'));
    expect(slotOf(bench, 'b')).toBe('slot-bbbbbbbbbb');
    bench.observed({ endsAt, draining: [] });
    bench.step(bench.createInput(small(1), 'c'));
    expect(slotOf(bench, 'c')).toBe(bench.slotId);
  });

  it('gives a kept slot back at once when a node of it is drained', () => {
    const bench = emptied(held());
    expect(bench.slot.state).toBe('ready');
    bench.observed({ draining: [{ node: 'n0', reason: 'kernel update' }] });
    const message = 'node n0: an administrator drains it: kernel update';
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'node_drained', message } });
  });

  it('does not keep a slot longer than its job leaves time to release it', () => {
    const bench = held({ ...reuse, keepMs: 24 * 3_600_000 });
    emptied(bench);
    const { killDelayMs } = must(settings.site);
    expect(bench.slot.deadlineAt).toBeLessThan(startedAt + 3_600_000 - killDelayMs);
  });

  it('lets two workspaces of one owner share a node as far as there is room', () => {
    const bench = held(reuse, 256);
    bench.maps.slots.set(bench.slotId, { ...bench.slot, memoryMiBPerNode: 1_024, cpusPerNode: 2 });
    bench.step(bench.createInput(small(1), 'b'));
    expect(slotOf(bench, 'b')).toBe(bench.slotId);
    bench.step(bench.createInput(small(1), 'c'));
    expect(slotOf(bench, 'c')).toBe('slot-cccccccccc');
  });

  it.each([
    ['of somebody else', 'b', 'bob', wide],
    ['that needs more memory', 'b', 'ann', small(1, 4_096)],
    ['that needs more nodes', 'b', 'ann', { ...wide, groups: [{ ...must(wide.groups[0]), count: 3 }] }],
    ['that would last longer than the slot', 'b', 'ann', { ...wide, durationMs: 3_600_000 }],
  ])('asks for a slot of its own for a workspace %s', (_, letter, owner, request) => {
    const bench = emptied(held());
    const { effects } = bench.step(bench.createInput(request, letter, owner));
    expect(kindsOf(effects)).toEqual(['lrm.submit']);
  });

  it.each([-60_000, 60_000])('uses up the slot that ends first, when another ends %d ms later', laterMs => {
    const bench = emptied(held());
    const jobEndsAt = must(bench.slot.jobEndsAt) + laterMs;
    bench.maps.slots.set('slot-other', { ...bench.slot, id: 'slot-other', workspaceIds: [], jobEndsAt });
    bench.step(bench.createInput(wide, 'b'));
    expect(slotOf(bench, 'b')).toBe(laterMs < 0 ? 'slot-other' : bench.slotId);
  });

  it('lets others in when the site says so', () => {
    const bench = emptied(held({ ...reuse, shared: true }));
    bench.step(bench.createInput(wide, 'b', 'bob'));
    expect(slotOf(bench, 'b')).toBe(bench.slotId);
  });

  it('ends what is in it with the reason of each when the job goes', () => {
    const bench = held(reuse, 256);
    bench.maps.slots.set(bench.slotId, { ...bench.slot, memoryMiBPerNode: 1_024, cpusPerNode: 2 });
    bench.step(bench.createInput(small(1), 'b'));
    bench.node('n0', 'preempting');
    const states = [...bench.maps.workspaces.values()].map(({ state, cause }) => [state, cause]);
    expect(states).toEqual([
      ['ending', 'preempted'],
      ['ending', 'preempted'],
    ]);
    // News of a slot that two are in is told to neither as its own.
    expect(bench.events.find(({ type }) => type === 'slot.preempting')).toMatchObject({
      workspaceId: null,
    });
  });

  it('never puts two owners into one slot, nor more on a node than the slot has of it', () => {
    const request = fc.record({
      owner: fc.constantFrom('ann', 'bob', 'eve'),
      count: fc.integer({ min: 1, max: 3 }),
      memoryMiB: fc.constantFrom(64, 256, 512, 1_024),
      ends: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(request, { minLength: 2, maxLength: 12 }), requests => {
        const bench = held();
        emptied(bench);
        for (const [index, { owner, count, memoryMiB, ends }] of requests.entries()) {
          const letter = String.fromCharCode(98 + index);
          bench.step(bench.createInput(small(count, memoryMiB), letter, owner));
          const id = `ws-${letter.repeat(10)}`;
          if (ends) bench.step({ type: 'destroy', workspaceId: id, by: owner });
          checkTenants(bench);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

function checkTenants(bench: LeaseBench): void {
  for (const slot of bench.maps.slots.values()) {
    const vms = [...bench.maps.vms.values()].filter(
      ({ slotId, state }) => slotId === slot.id && state !== 'terminated' && state !== 'failed',
    );
    const owners = new Set(vms.map(({ workspaceId }) => must(bench.maps.workspaces.get(workspaceId)).owner));
    expect(owners.size).toBeLessThanOrEqual(1);
    for (const { name } of slot.nodes) {
      const there = vms.filter(({ node }) => node === name);
      const memoryMiB = there.reduce((sum, vm) => sum + vmMemoryMiB(vm, settings.memory), 0);
      expect(memoryMiB).toBeLessThanOrEqual(slot.memoryMiBPerNode);
      expect(there.length).toBeLessThanOrEqual(2);
    }
  }
}

/** A bench with a warm slot that is ready: nodes n0 and n1. */
function warmBench(policy: WarmPolicy = warm): { bench: LeaseBench; slotId: string } {
  const bench = new LeaseBench({ policy });
  bench.step({ type: 'clock', slotId: bench.slotId });
  bench.submitted();
  for (const node of ['n0', 'n1']) bench.node(node, 'reserving');
  for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
  bench.observed({ endsAt: startedAt + bench.slot.walltimeMs });
  return { bench, slotId: bench.slotId };
}
const warmSlots = (bench: LeaseBench): readonly Slot[] =>
  [...bench.maps.slots.values()].filter(slot => slot.warm);

describe('warm', () => {
  it('asks for its slots before anybody needs them, and holds them ready', () => {
    const { bench } = warmBench();
    expect(bench.slot).toMatchObject({
      state: 'ready',
      warm: true,
      owner: null,
      workspaceIds: [],
      nodesWanted: 2,
    });
    expect(bench.effects.filter(({ kind }) => kind === 'lrm.submit')).toHaveLength(1);
  });

  it('asks for nothing while the LRM has not said what it has', () => {
    const bench = new LeaseBench({ policy: warm, site: null });
    expect(nextDeadlineAt(bench.state)).toBeNull();
  });

  it('deploys the first workspace that fits at once, and asks for another slot then', () => {
    const { bench } = warmBench();
    const { effects } = bench.step(bench.createInput(small(3), 'b', 'bob'));
    expect(kindsOf(effects)).toEqual(['start-vm', 'start-vm', 'start-vm']);
    expect(bench.slot.owner).toBe('bob');
    bench.atDeadline();
    expect(warmSlots(bench)).toHaveLength(2);
    expect(bench.slot.state).toBe('ready');
  });

  it('gives the slot back when its workspace has ended: it has been somebody’s', () => {
    const { bench } = warmBench();
    bench.step(bench.createInput(small(1), 'b', 'bob'));
    bench.step({ type: 'destroy', workspaceId: 'ws-bbbbbbbbbb', by: 'bob' });
    bench.notify('n0', {
      kind: 'vm',
      report: { vmId: 'ws-bbbbbbbbbb.node-0', state: 'terminated', context: 'pending' },
    });
    expect(bench.slot.state).toBe('releasing');
  });

  it('renews a slot at half of its time and gives it back at three quarters', () => {
    const { bench } = warmBench();
    const { walltimeMs } = bench.slot;
    bench.now = startedAt + walltimeMs / 2 - 1;
    bench.step({ type: 'clock', slotId: 'slot-early' });
    expect(warmSlots(bench)).toHaveLength(1);
    bench.after(1);
    expect(warmSlots(bench)).toHaveLength(2);
    bench.after(walltimeMs / 4);
    expect(bench.slot.state).toBe('releasing');
  });

  it('asks for another one when the LRM takes it back', () => {
    const { bench } = warmBench();
    bench.node('n0', 'preempting');
    expect(bench.slot.state).toBe('preempting');
    bench.after(0);
    expect(warmSlots(bench)).toHaveLength(2);
  });

  it.each(['reserving', 'ready'] as const)(
    'gives a %s slot back at once when one of its nodes fails, says why, and waits before it asks for the next one',
    state => {
      const bench = new LeaseBench({ policy: warm });
      bench.step({ type: 'clock', slotId: bench.slotId });
      bench.submitted();
      bench.node('n0', 'reserved');
      bench.node('n1', state === 'ready' ? 'reserved' : 'reserving');
      expect(bench.slot.state).toBe(state);
      const reason = { code: 'reserve_failed', message: 'it cannot host VMs: no sudo rule' };
      const decision = bench.notify('n1', { kind: 'node', state: 'failed', reason });
      expect(bench.slot).toMatchObject({
        state: 'releasing',
        reason: { code: 'reserve_failed', message: 'node n1 failed: it cannot host VMs: no sudo rule' },
      });
      expect(bench.ordersOf(decision, 'release')).toMatchObject([{ node: 'n0' }]);
      expect(warmDueAt(must(bench.state.settings.pools[0]), bench.state.slots)).toBe(startedAt + 60_000);
    },
  );

  it('keeps a slot that the LRM has suspended: it may go on before anybody comes', () => {
    const { bench } = warmBench();
    bench.observed({ state: 'suspended' });
    const later = bench.observed({ state: 'suspended', endsAt: must(bench.slot.jobEndsAt) + 60_000 });
    expect([bench.slot.state, bench.effectsOf(later, 'lrm.cancel')]).toEqual(['ready', []]);
  });

  it('waits longer and longer for slots that come to nothing, up to an hour', () => {
    const bench = new LeaseBench({ policy: warm });
    const pauses: number[] = [];
    for (let round = 0; round < 9; round++) {
      const dueAt = Math.max(
        bench.now,
        must(warmDueAt(must(bench.state.settings.pools[0]), bench.state.slots)),
      );
      pauses.push(dueAt - bench.now);
      bench.now = dueAt;
      bench.step({ type: 'clock', slotId: `slot-${round}` });
      bench.step({ type: 'lrm.refused', slotId: `slot-${round}`, message: 'no' });
    }
    const minutes = pauses.map(ms => ms / 60_000);
    expect(minutes).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60]);
  });
});

describe('whether a held slot is for a workspace', () => {
  /** A slot that is held as it is, or changed, and where a workspace of ten minutes goes. */
  const isTaken = (change: Partial<Slot>, durationMs = 600_000): boolean => {
    const bench = emptied(held());
    bench.maps.slots.set(bench.slotId, { ...bench.slot, ...change });
    bench.step(bench.createInput({ ...wide, durationMs }, 'b'));
    return slotOf(bench, 'b') === bench.slotId;
  };
  // A minute to deploy, ten for the lease, 42 s for the pilots.
  const just = startedAt + 60_000 + 600_000 + 42_000;

  it.each<[string, Partial<Slot>, boolean]>([
    ['as it is', {}, true],
    ['of another pool', { pool: 'other' }, false],
    ['that is being given back', { state: 'releasing' }, false],
    ['that is not ready yet', { state: 'reserving' }, false],
    ['that is suspended', { suspendedSince: startedAt }, false],
    ['that lasts just long enough', { jobEndsAt: just }, true],
    ['that ends too soon', { jobEndsAt: just - 1 }, false],
    [
      'whose end nobody has told: of its submission',
      { jobEndsAt: null, submittedAt: just - 1_000, walltimeMs: 1_000 },
      true,
    ],
    [
      'whose end nobody has told: of its making',
      { jobEndsAt: null, submittedAt: null, createdAt: just, walltimeMs: 0 },
      true,
    ],
    [
      'that was submitted too long ago',
      { jobEndsAt: null, submittedAt: just - 1_001, createdAt: just, walltimeMs: 1_000 },
      false,
    ],
    ['whose owner is nobody', { owner: null }, true],
    ['whose node has failed', { nodes: [] }, false],
  ])('%s', (_what, change, expected) => {
    expect(isTaken(change)).toBe(expected);
  });

  it('counts only nodes that are reserved, and the processors that are left', () => {
    const node = { name: 'n0', state: 'reserved' } as const;
    const slot = {
      memoryMiBPerNode: 1_000,
      cpusPerNode: 4,
      nodes: [node, { ...node, name: 'n1', state: 'releasing' }],
    } as unknown as Slot;
    const vm = { id: 'v', node: 'n0', state: 'running', memoryMiB: 36, cpus: 3 } as unknown as Vm;
    const rooms = roomIn(slot, [vm, { ...vm, state: 'failed' }, { ...vm, node: 'n1' }], {
      ...settings,
      policy: reuse,
    });
    expect(rooms).toEqual([{ name: 'n0', memoryMiB: 900, cpus: 1, vms: 1 }]);
  });
});

describe('when the next warm slot is due', () => {
  const hour = 3_600_000;
  const pool = (more: Partial<WarmPolicy> = {}) => ({
    name: 'default',
    policy: { ...warm, ...more },
    site: settings.site,
  });
  const ready = {
    pool: 'default',
    warm: true,
    state: 'ready',
    reason: null,
    workspaceIds: [],
    nodes: [],
    jobEndsAt: startedAt + 4 * hour,
    walltimeMs: 4 * hour,
    createdAt: startedAt,
    submittedAt: startedAt,
    endedAt: null,
  } as unknown as Slot;
  const due = (slots: readonly Partial<Slot>[], more: Partial<WarmPolicy> = {}): number | null =>
    warmDueAt(pool(more), new Map(slots.map((slot, index) => [String(index), { ...ready, ...slot }])));

  it.each<[string, readonly Partial<Slot>[], number]>([
    ['none is there', [], 0],
    ['one is: at half of its time', [{}], startedAt + 2 * hour],
    ['the one is another pool’s', [{ pool: 'other' }], 0],
    ['the one is not warm', [{ warm: false }], 0],
    ['the one is somebody’s', [{ workspaceIds: ['ws-a'] }], 0],
    ['the one is taken back', [{ state: 'preempting' }], 0],
    [
      'two are: with the one that lasts longer',
      [{}, { jobEndsAt: startedAt + 6 * hour }],
      startedAt + 4 * hour,
    ],
    [
      'the one has failed a while ago, before anybody came',
      [{ state: 'failed', endedAt: startedAt + hour }],
      startedAt + hour + 60_000,
    ],
    [
      'the one is being given back without anybody’s having come',
      [{ state: 'releasing' }],
      startedAt + 60_000,
    ],
    ['that was for want of anybody', [{ state: 'releasing', reason: { code: 'idle', message: '' } }], 0],
    [
      'that was for a drained node',
      [{ state: 'released', reason: { code: 'node_drained', message: '' } }],
      0,
    ],
    ['somebody had been there', [{ state: 'failed', workspaceIds: ['ws-a'], endedAt: startedAt }], 0],
    [
      'the newest has come to something, the one before not',
      [
        { state: 'failed', endedAt: startedAt },
        { createdAt: startedAt + 1, workspaceIds: ['ws-a'], state: 'released' },
      ],
      0,
    ],
    [
      'two in a row have failed: twice as long after the newer',
      [
        { state: 'failed', createdAt: startedAt + hour, endedAt: startedAt + 2 * hour },
        { state: 'failed', endedAt: startedAt + 1 },
      ],
      startedAt + 2 * hour + 120_000,
    ],
  ])('when %s', (_what, slots, expected) => {
    expect(due(slots)).toBe(expected);
  });

  it('is for as many as the pool holds, and for those that are shared while somebody is in them', () => {
    expect(due([{}], { slots: 2 })).toBe(0);
    expect(due([{ jobEndsAt: startedAt + 6 * hour }, {}], { slots: 2 })).toBe(startedAt + 2 * hour);
    expect(due([{ workspaceIds: ['ws-a'] }], { shared: true })).toBe(startedAt + 2 * hour);
  });
});

describe('how long a slot is kept', () => {
  const node = { name: 'n0', state: 'reserved', reason: null } as const;
  const slot = {
    state: 'ready',
    nodesWanted: 1,
    nodes: [node],
    deadlineAt: null,
    owner: 'ann',
    warm: false,
    jobEndsAt: startedAt + 3_600_000,
    walltimeMs: 3_600_000,
  } as unknown as Slot;
  const kept = (change: object, policy: ReusePolicy | WarmPolicy = reuse): number | undefined =>
    keptUntil({ ...slot, ...change }, { ...settings, policy }, startedAt);

  it.each<[string, object, number | undefined]>([
    ['from now on', {}, startedAt + 600_000],
    ['until when it was to be kept before', { deadlineAt: startedAt + 1_000 }, startedAt + 1_000],
    ['not when that is now', { deadlineAt: startedAt }, undefined],
    ['no longer than its job leaves', { jobEndsAt: startedAt + 142_000 }, startedAt + 100_000],
    ['not with a node missing', { nodesWanted: 2 }, undefined],
    ['not with a node leaving', { nodes: [{ ...node, state: 'releasing' }] }, undefined],
    ['not when it is being given back', { state: 'releasing' }, undefined],
  ])('%s', (_what, change, until) => {
    expect(kept(change)).toBe(until);
  });

  it('is three quarters of its time for a warm one that nobody has been in', () => {
    const threeQuarters = startedAt + 2_700_000;
    expect(kept({ warm: true, owner: null }, warm)).toBe(threeQuarters);
    expect(kept({ warm: true }, { ...warm, shared: true })).toBe(threeQuarters);
    expect(kept({ warm: true }, warm)).toBeUndefined();
    expect(kept({ owner: null }, warm)).toBeUndefined();
    expect(kept({ warm: true, owner: null })).toBe(startedAt + 600_000);
  });
});
