import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';
import { applyDecision, decide } from './decide.ts';
import { addUsed, chargeOf, noQuota, noQuotas } from './quota.ts';
import type { Quota } from './settings.ts';
import type { LeaseInput } from './inputs.ts';
import type { Used, Workspace } from './model.ts';

const group = { name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };
const userQuota = (quota: Partial<Quota>) => ({ quotas: { ...noQuotas, user: { ...noQuota, ...quota } } });

describe('a quota', () => {
  it.each<[Partial<Quota>, string]>([
    [
      { workspaces: 1 },
      'user ann may have 1 live workspaces; 1 are in use, and with this request it would be 2',
    ],
    [{ vms: 3 }, 'user ann may have 3 VMs; 2 are in use, and with this request it would be 4'],
    [{ cpus: 3 }, 'user ann may have 3 processors; 2 are in use, and with this request it would be 4'],
    [
      { memoryMiB: 1_000 },
      'user ann may have 1000 MiB of memory; 512 are in use, and with this request it would be 1024',
    ],
    [
      { vmMinutes: 200 },
      'user ann may have 200 VM minutes; 120 are in use, and with this request it would be 240',
    ],
  ])('of %o refuses what is over it, and says by how much', (quota, message) => {
    const bench = new LeaseBench(userQuota(quota));
    bench.create(2);
    const refusal = bench.refusal(bench.createInput({ groups: [{ ...group, count: 2 }] }, 'b'));
    expect(refusal).toMatchObject({ code: 'quota_exceeded', message });
    // Somebody else's is their own.
    bench.step(bench.createInput({ groups: [{ ...group, count: 2 }] }, 'c', 'bob'));
  });

  it('of the longest lease holds for creating and for extending', () => {
    const bench = new LeaseBench(userQuota({ maxDurationMs: 3_600_000 }));
    expect(bench.refusal(bench.createInput({ groups: [group], durationMs: 3_700_000 }))).toMatchObject({
      code: 'quota_exceeded',
      message: expect.stringMatching(/^user ann may lease for 1h at most/),
    });
    bench.running(1);
    const extend: LeaseInput = { type: 'extend', workspaceId: bench.ws, by: 'ann', durationMs: 10_000 };
    expect(bench.refusal(extend).code).toBe('quota_exceeded');
  });

  it('of one user or project goes before that of all', () => {
    const all = { ...noQuota, vms: 1 };
    const own = new Map([['ann', { ...noQuota, vms: 2 }]]);
    const bench = new LeaseBench({ quotas: { ...noQuotas, user: all, users: own } });
    const two = { groups: [{ ...group, count: 2 }] };
    bench.step(bench.createInput(two, 'a', 'ann'));
    expect(bench.refusal(bench.createInput(two, 'b', 'bob')).message).toContain('user bob may have 1 VMs');
    expect(bench.refusal(bench.createInput(two, 'c', 'ann')).message).toContain('user ann may have 2 VMs');
  });

  it('of the project holds beside that of the user', () => {
    const project = { ...noQuota, vms: 3 };
    const bench = new LeaseBench({ quotas: { ...noQuotas, projects: new Map([['qcd', project]]) } });
    const create = (letter: string, owner: string, name: string) =>
      bench.createInput({ groups: [{ ...group, count: 2 }], project: name }, letter, owner);
    bench.step(create('a', 'ann', 'qcd'));
    expect(bench.refusal(create('b', 'bob', 'qcd')).message).toBe(
      'project qcd may have 3 VMs; 2 are in use, and with this request it would be 4',
    );
    bench.step(create('c', 'bob', 'other'));
  });

  it('counts a pending ensemble as it grows', () => {
    const bench = new LeaseBench(userQuota({ vms: 2 }));
    bench.step(bench.createInput({ groups: [{ ...group, count: 2 }], pending: true }));
    const groups = [{ ...group, name: 'more' }];
    expect(bench.refusal({ type: 'add', workspaceId: bench.ws, by: 'ann', groups }).code).toBe(
      'quota_exceeded',
    );
    bench.step({ type: 'launch', workspaceId: bench.ws, by: 'ann', lots: [0, 0] });
  });

  it('is free again when a workspace has ended; its minutes stay used', () => {
    const bench = new LeaseBench(userQuota({ vms: 2, vmMinutes: 130 })).running(2);
    bench.now += 10 * 60_000;
    bench.destroy();
    bench.observed(undefined);
    expect(bench.workspace.state).toBe('ended');
    const again = (durationMs: number) =>
      bench.createInput({ groups: [{ ...group, count: 2 }], durationMs }, 'b');
    expect(bench.refusal(again(3_600_000)).message).toBe(
      'user ann may have 130 VM minutes; 20 are in use, and with this request it would be 140',
    );
    bench.step(again(55 * 60_000));
  });

  it('original defect 11, a quota is checked, then charged: it is never exceeded, and refuses nothing that fits (property)', () => {
    fc.assert(
      fc.property(fc.array(order, { maxLength: 30 }), orders => {
        const books = new Books();
        for (const one of orders) books.obey(one);
      }),
      { numRuns: 2_000, seed: 7 },
    );
  });
});

const limits = { vms: 6, cpus: 10, workspaces: 4 };
const order = fc.oneof(
  fc.record({
    what: fc.constant('create' as const),
    owner: fc.constantFrom('ann', 'bob'),
    count: fc.integer({ min: 1, max: 4 }),
    cpus: fc.integer({ min: 1, max: 4 }),
    pending: fc.boolean(),
  }),
  fc.record({ what: fc.constant('add' as const), which: fc.nat(), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constantFrom('launch' as const, 'destroy' as const), which: fc.nat() }),
);
type Order = typeof order extends fc.Arbitrary<infer T> ? T : never;

interface Held {
  readonly owner: string;
  readonly vms: number;
  readonly cpus: number;
  readonly pending: boolean;
}

/** What the orders come to, by a count of our own: live workspaces with their owner, VMs and processors. */
class Books {
  readonly #bench = new LeaseBench(userQuota(limits));
  readonly #live = new Map<string, Held>();
  #serial = 0;

  /** Gives the order to the core, which must accept it exactly when it fits. */
  obey(one: Order): void {
    const letter = String.fromCharCode(97 + this.#serial++);
    const ids = [...this.#live.keys()];
    const id = one.what === 'create' ? `ws-${letter.repeat(10)}` : ids[one.which % Math.max(1, ids.length)];
    const before = id === undefined ? undefined : this.#live.get(id);
    if (id === undefined || (one.what === 'add' && !before?.pending)) return;
    const outcome = decide(this.#bench.state, this.#input(one, id, letter), this.#bench.now);
    const after = afterwards(one, before);
    this.#live.set(id, after);
    const charges = one.what === 'create' || one.what === 'add';
    expect(outcome.ok).toBe(!charges || this.#fits(after.owner));
    if (outcome.ok) applyDecision(this.#bench.maps, outcome.decision);
    else {
      expect(outcome.refusal.code).toBe('quota_exceeded');
      if (before) this.#live.set(id, before);
      else this.#live.delete(id);
    }
    // A workspace counts until it has ended, not only until it was told to.
    if (this.#bench.maps.workspaces.get(id)?.state === 'ended') this.#live.delete(id);
  }

  #input(one: Order, id: string, letter: string): LeaseInput {
    const groups = (count: number, cpus: number) => [{ ...group, name: `g${letter}`, count, cpus }];
    if (one.what === 'create') {
      const request = { groups: groups(one.count, one.cpus), pending: one.pending };
      return this.#bench.createInput(request, letter, one.owner);
    }
    if (one.what === 'add') return { type: 'add', workspaceId: id, by: 'x', groups: groups(one.count, 1) };
    if (one.what === 'launch') return { type: 'launch', workspaceId: id, by: 'x', lots: [0, 0] };
    return { type: one.what, workspaceId: id, by: 'x' };
  }

  #fits(owner: string): boolean {
    const own = [...this.#live.values()].filter(each => each.owner === owner);
    const sum = (what: 'vms' | 'cpus'): number => own.reduce((total, each) => total + each[what], 0);
    return own.length <= limits.workspaces && sum('vms') <= limits.vms && sum('cpus') <= limits.cpus;
  }
}

function afterwards(one: Order, before: Held | undefined): Held {
  if (one.what === 'create')
    return { owner: one.owner, vms: one.count, cpus: one.count * one.cpus, pending: one.pending };
  const held = before ?? { owner: '', vms: 0, cpus: 0, pending: false };
  if (one.what === 'add') return { ...held, vms: held.vms + one.count, cpus: held.cpus + one.count };
  return one.what === 'launch' ? { ...held, pending: false } : held;
}

describe('a client token', () => {
  it('makes one workspace, however often and in whatever order its request comes (property)', () => {
    const request = fc.record({
      token: fc.constantFrom('t1', 't2', 't3'),
      count: fc.integer({ min: 1, max: 2 }),
      owner: fc.constantFrom('ann', 'bob'),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 20 }), requests => {
        const bench = new LeaseBench();
        const first = new Map<string, number>();
        requests.forEach(({ token, count, owner }, index) => {
          const letter = String.fromCharCode(97 + index);
          const input = bench.createInput(
            { groups: [{ ...group, count }], clientToken: token },
            letter,
            owner,
          );
          const outcome = decide(bench.state, input, bench.now);
          const key = `${owner} ${token}`;
          const known = first.get(key);
          expect(outcome.ok).toBe(known === undefined || known === count);
          if (!outcome.ok) expect(outcome.refusal.code).toBe('conflict');
          if (known === undefined) first.set(key, count);
          if (outcome.ok) applyDecision(bench.maps, outcome.decision);
        });
        expect(bench.maps.workspaces.size).toBe(first.size);
      }),
      { numRuns: 2_000, seed: 11 },
    );
  });
});

describe('what a workspace is charged with', () => {
  const groups = [
    { ...group, count: 2, cpus: 3 },
    { ...group, count: 1, memoryMiB: 512 },
  ].map(each => ({ ...each, networks: [], roles: [] }));
  const of = (change: object) =>
    chargeOf({
      state: 'running',
      groups,
      durationMs: 600_000,
      startsAt: null,
      endsAt: null,
      endedAt: null,
      ...change,
    });
  const live = { workspaces: 1, vms: 3, cpus: 7, memoryMiB: 1_024 };
  const nothing = { workspaces: 0, vms: 0, cpus: 0, memoryMiB: 0 };

  it.each<[string, object, object]>([
    ['while it waits: its whole duration', { state: 'queued' }, { ...live, vmMs: 3 * 600_000 }],
    ['while its end is not known', { startsAt: 5 }, { ...live, vmMs: 3 * 600_000 }],
    ['while it runs: its lease', { startsAt: 5, endsAt: 1_005 }, { ...live, vmMs: 3_000 }],
    [
      'when it has run: for as long as it has',
      { state: 'ended', startsAt: 5, endsAt: 1_005, endedAt: 105 },
      { ...nothing, vmMs: 300 },
    ],
    ['when it has ended before it ran', { state: 'ended', endedAt: 105 }, { ...nothing, vmMs: 0 }],
    ['when its end was not written down', { state: 'ended', startsAt: 5 }, { ...nothing, vmMs: 0 }],
  ])('%s', (_what, change, charge) => {
    expect(of(change)).toEqual(charge);
  });
});

describe('a quota that an extension counts against', () => {
  it('is charged with the longer lease in place of the one before, and with that of others', () => {
    const bench = new LeaseBench(userQuota({ vmMinutes: 90 })).running(1);
    const extend = (minutes: number): LeaseInput => ({
      type: 'extend',
      workspaceId: bench.ws,
      by: 'ann',
      durationMs: minutes * 60_000,
    });
    expect(bench.refusal(extend(31)).message).toBe(
      'user ann may have 90 VM minutes; 0 are in use, and with this request it would be 91',
    );
    bench.step(extend(30));
    expect(bench.refusal(bench.createInput({ groups: [group], durationMs: 1 }, 'b')).message).toContain(
      '90 are in use, and with this request it would be 91',
    );
  });

  it('of a project counts only what is of that project', () => {
    const project = { ...noQuota, workspaces: 1 };
    const bench = new LeaseBench({ quotas: { ...noQuotas, project } });
    bench.step(bench.createInput({ groups: [group] }, 'a'));
    bench.step(bench.createInput({ groups: [group] }, 'b'));
    bench.step(bench.createInput({ groups: [group], project: 'x' }, 'c'));
    bench.step(bench.createInput({ groups: [group], project: 'y' }, 'd'));
    expect(bench.refusal(bench.createInput({ groups: [group], project: 'y' }, 'e')).code).toBe(
      'quota_exceeded',
    );
  });
});

describe('what retired workspaces have used', () => {
  const groups = [
    { name: 'w', count: 1, cpus: 1, memoryMiB: 256, image: 'mini', networks: [], roles: [], userData: null },
  ];
  const retired = (owner: string, project: string | null, usedMs: number) =>
    ({
      owner,
      project,
      state: 'ended',
      groups,
      durationMs: 600_000,
      startsAt: 5,
      endsAt: 600_005,
      endedAt: 5 + usedMs,
    }) as unknown as Workspace;

  it('is added up by owner and project, and kept apart', () => {
    const used = new Map<string, Used>();
    for (const [owner, project, usedMs] of [
      ['ann', null, 1],
      ['ann', 'x', 2],
      ['ann', 'y', 4],
      ['bob', 'x', 8],
      ['ann', 'x', 16],
      ['ann', null, 32],
    ] as const)
      addUsed(used, retired(owner, project, usedMs));
    expect([...used.values()]).toEqual([
      { owner: 'ann', project: null, vmMs: 33 },
      { owner: 'ann', project: 'x', vmMs: 18 },
      { owner: 'ann', project: 'y', vmMs: 4 },
      { owner: 'bob', project: 'x', vmMs: 8 },
    ]);
  });
});
