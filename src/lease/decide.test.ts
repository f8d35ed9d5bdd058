import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settings, startedAt } from '../../test/support/lease.ts';
import { vmIdOf } from '../protocol/ids.ts';
import type { VmReport } from '../protocol/pilot.ts';
import { contextStates, slotNodeStates, vmStates } from '../protocol/states.ts';
import { applyDecision, decide, emptyMaps, isEmpty, nextDeadlineAt, type SiteMaps } from './decide.ts';
import { isFinalVm, slotTransitions, vmTransitions, workspaceTransitions } from './transitions.ts';
import type { Decision } from './decision.ts';
import type { LeaseInput } from './inputs.ts';
import type { SiteState } from './model.ts';

/** Two workspaces, three nodes, two job ids: few enough that random inputs meet. */
const letter = fc.constantFrom('a', 'b');
const slotId = letter.map(one => `slot-${one.repeat(10)}`);
const workspaceId = letter.map(one => `ws-${one.repeat(10)}`);
const node = fc.constantFrom('n0', 'n1', 'n2');
const jobId = fc.constantFrom('1', '2');
const maybeTime = fc.option(fc.integer({ min: startedAt, max: startedAt + 900_000 }));
const reason = fc.option(fc.constant({ code: 'c', message: 'm' }), { nil: undefined });

const report: fc.Arbitrary<VmReport> = fc
  .record({
    vmId: fc.tuple(workspaceId, fc.nat(1)).map(([id, index]) => vmIdOf(id, 'g', index)),
    state: fc.constantFrom(...vmStates),
    context: fc.constantFrom(...contextStates),
    reason,
  })
  .map(({ reason, ...rest }) => (reason ? { ...rest, reason } : rest));

const job = fc.record({
  jobId,
  slotId,
  state: fc.constantFrom('waiting', 'running', 'ending', 'completed', 'cancelled', 'timeout', 'failed'),
  outlook: fc.constant(null),
  reason: fc.option(fc.constant('words')),
  estimatedStartAt: maybeTime,
  endsAt: maybeTime,
  nodes: fc.uniqueArray(node, { maxLength: 3 }),
  draining: fc.option(fc.array(fc.record({ node, reason: fc.constantFrom('', 'kernel') }), { maxLength: 2 })),
});

/** An input, and how much later than the one before it comes. `rel`: when the list was taken, before now. */
const input = (now: number): fc.Arbitrary<LeaseInput> => {
  const notified = (body: fc.Arbitrary<Extract<LeaseInput, { type: 'pilot.notified' }>['body']>) =>
    fc.record({
      type: fc.constant('pilot.notified' as const),
      slotId,
      node,
      seq: fc.integer({ min: 1, max: 30 }),
      at: fc.constant(now),
      body,
    });
  return fc.oneof(
    fc.record({ type: fc.constant('destroy' as const), workspaceId, by: fc.constant('ann') }),
    fc.record({ type: fc.constant('lrm.submitted' as const), slotId, jobId }),
    fc.record({ type: fc.constant('lrm.refused' as const), slotId, message: fc.constant('no') }),
    fc.record({
      type: fc.constant('lrm.observed' as const),
      pool: fc.constant('default'),
      takenAt: fc.integer({ min: now - 5_000, max: now }),
      jobs: fc.array(job, { maxLength: 2 }),
    }),
    fc.record({
      type: fc.constant('pilot.connected' as const),
      slotId,
      node,
      address: fc.constant('10.0.0.1'),
      vms: fc.array(report, { maxLength: 2 }),
    }),
    fc.record({ type: fc.constant('pilot.disconnected' as const), slotId, node }),
    notified(fc.record({ kind: fc.constant('vm' as const), report })),
    notified(fc.record({ kind: fc.constant('node' as const), state: fc.constantFrom(...slotNodeStates) })),
    notified(fc.record({ kind: fc.constant('node' as const), state: fc.constantFrom('reserved') })),
    fc.constant({ type: 'clock' as const, slotId: 'slot-new' }),
  );
};

const steps = fc.array(
  fc.tuple(fc.constantFrom(0, 1, 1_000, 20_000, 200_000), input(startedAt + 1_000_000)),
  { minLength: 1, maxLength: 60 },
);

class World {
  readonly maps: SiteMaps = emptyMaps();
  readonly state: SiteState = { settings, ...this.maps };
  now = startedAt + 1_000_000;

  constructor() {
    const groups = [{ name: 'g', image: 'mini', count: 2, memoryMiB: 64, cpus: 1 }];
    for (const one of ['a', 'b'])
      this.step({
        type: 'create',
        workspaceId: `ws-${one.repeat(10)}`,
        slotId: `slot-${one.repeat(10)}`,
        owner: 'ann',
        request: { groups, durationMs: 300_000 },
        requestDigest: '',
        lots: [0, 0],
      });
  }

  decide(one: LeaseInput): Decision {
    const outcome = decide(this.state, one, this.now);
    if (!outcome.ok) throw new Error(outcome.refusal.message);
    return outcome.decision;
  }

  step(one: LeaseInput): Decision {
    const decision = this.decide(one);
    this.checkSteps(decision);
    applyDecision(this.maps, decision);
    return decision;
  }

  /** Every change is forward in the tables; several at once are a path in them. */
  checkSteps({ workspaces, slots, vms }: Decision): void {
    for (const { id, state } of workspaces)
      path(workspaceTransitions, this.maps.workspaces.get(id)?.state, state);
    for (const { id, state } of slots) path(slotTransitions, this.maps.slots.get(id)?.state, state);
    for (const { id, state } of vms) path(vmTransitions, this.maps.vms.get(id)?.state, state);
  }
}

function path<S extends string>(table: Readonly<Record<S, readonly S[]>>, from: S | undefined, to: S): void {
  if (from === undefined) return;
  const reached = new Set<S>([from]);
  for (const state of reached) for (const next of table[state]) reached.add(next);
  assert.ok(reached.has(to), `${from} to ${to}`);
}

function play(
  list: readonly (readonly [number, LeaseInput])[],
  each?: (world: World, one: LeaseInput) => void,
): World {
  const world = new World();
  for (const [laterMs, one] of list) {
    world.now += laterMs;
    world.step(one);
    each?.(world, one);
  }
  return world;
}

/** What breaks a property, told by fast-check with its seed; undefined when nothing did. */
function counterexample<T>(property: fc.IProperty<T>, numRuns = 200): string | undefined {
  const details = fc.check(property, { numRuns });
  return details.failed ? fc.defaultReportMessage(details) : undefined;
}

describe('decide, whatever comes in whatever order', () => {
  it('handles it or leaves it, and every step is in the tables', () => {
    const property = fc.property(steps, list => void play(list));
    expect(counterexample(property, 500)).toBeUndefined();
  });

  it('does not change the state that it is given', () => {
    const property = fc.property(steps, list => {
      const world = play(list);
      const before = structuredClone(world.maps);
      for (const [, one] of list) world.decide(one);
      assert.deepEqual(world.maps, before);
    });
    expect(counterexample(property)).toBeUndefined();
  });

  it('is repeated without effect: notifications and the clock', () => {
    const property = fc.property(steps, list => {
      play(list, (world, one) => {
        if (one.type === 'pilot.notified') assert.ok(isEmpty(world.decide(one)));
        if (one.type === 'clock')
          assert.ok((nextDeadlineAt(world.state) ?? Number.POSITIVE_INFINITY) > world.now);
      });
    });
    expect(counterexample(property)).toBeUndefined();
  });

  it('leaves no workspace behind: once the LRM has no jobs left, all that is needed is time', () => {
    const property = fc.property(steps, list => {
      const world = play(list);
      jobsVanish(world);
      for (const { state, cause, reason, endedAt } of world.maps.workspaces.values()) {
        assert.equal(state, 'ended');
        assert.ok(cause !== null && reason?.message && endedAt !== null);
      }
      for (const { state } of world.maps.vms.values()) assert.ok(isFinalVm(state), state);
    });
    expect(counterexample(property, 300)).toBeUndefined();
  });

  it('gives every effect a key that says what it is: the same key is the same effect', () => {
    const property = fc.property(steps, list => {
      const world = new World();
      const seen = new Map<string, unknown>();
      for (const [laterMs, one] of list) {
        world.now += laterMs;
        for (const effect of world.step(one).effects) {
          assert.deepEqual(effect, seen.get(effect.key) ?? effect);
          seen.set(effect.key, effect);
        }
      }
    });
    expect(counterexample(property)).toBeUndefined();
  });
});

/** The LRM has nothing of ours any more, and time passes until nothing waits for it. */
function jobsVanish(world: World): void {
  for (const one of ['a', 'b']) {
    world.step({ type: 'lrm.refused', slotId: `slot-${one.repeat(10)}`, message: 'no' });
    world.now += 1;
    world.step({ type: 'lrm.observed', pool: 'default', takenAt: world.now, jobs: [] });
  }
  for (let next = nextDeadlineAt(world.state); next !== null; next = nextDeadlineAt(world.state)) {
    world.now = Math.max(world.now, next);
    world.step({ type: 'clock', slotId: 'slot-new' });
  }
}

describe('a decision', () => {
  const none: Decision = { workspaces: [], slots: [], vms: [], events: [], effects: [], retired: [] };

  it.each(Object.keys(none) as (keyof Decision)[])('is empty without %s alone', part => {
    expect(isEmpty(none)).toBe(true);
    expect(isEmpty({ ...none, [part]: [{}] })).toBe(false);
    expect(isEmpty({ ...none, [part]: [{}], workspaces: [{}] } as unknown as Decision)).toBe(false);
  });
});
