import { slotStates, vmStates, workspaceStates } from '../../src/protocol/states.ts';
import type { StoredEvent } from '../../src/service/core/engine-api.ts';
import { designedSteps } from '../support/transitions.ts';
import { crashPoints } from './crash-points.ts';

/**
 * What simulated lives have been through, held against all that there is: the design's transitions,
 * and crash points.
 */

const states: Readonly<Record<Entity, readonly string[]>> = {
  slot: slotStates,
  vm: vmStates,
  workspace: workspaceStates,
};
type Entity = 'slot' | 'vm' | 'workspace';
/** The state in which an entity begins, before its history has a word of it. */
const beginsAs: Readonly<Record<Entity, string | undefined>> = {
  slot: undefined,
  vm: 'pending',
  workspace: 'pending',
};

/** Every step of the design, not of the tables under test: `slot ready → preempting`. */
export const allTransitions = designedSteps;

/**
 * The steps that a history tells of, in order. Each change of state is an event `<entity>.<state>` (src/lease/draft.ts): what the tables allow is not asked
 * here, so a step that they do not have shows.
 */
export function* transitionsOf(history: readonly StoredEvent[]): Iterable<string> {
  const current = new Map<string, string>();
  for (const { type, slotId, vmId, workspaceId } of history) {
    const [entity, to, more] = type.split('.');
    if (!isEntity(entity) || to === undefined || more !== undefined || !states[entity].includes(to)) continue;
    // A VM that is started anew after a preemption has another life, in another slot.
    const id = { slot: slotId, vm: `${slotId} ${vmId}`, workspace: workspaceId }[entity] ?? '';
    const from = current.get(`${entity} ${id}`) ?? beginsAs[entity];
    current.set(`${entity} ${id}`, to);
    if (from !== undefined && from !== to) yield `${entity} ${from} → ${to}`;
  }
}

function isEntity(name: string | undefined): name is Entity {
  return name === 'slot' || name === 'vm' || name === 'workspace';
}

/** What is counted of lives, and by what name. */
export const countNames = ['history', 'ends', 'faults', 'crashes', 'transitions'] as const;
export type CountName = (typeof countNames)[number];

/**
 * `history`: how often each line of it was written (`workspace.running`); `ends`: how workspaces ended (`expired:expired`, `refused:exceeds_site`); `faults`: what
 * went wrong, by kind; `crashes`: the crash points at which somebody died; `transitions`: the steps of the core's tables that were taken.
 */
export type Counts = Readonly<Record<CountName, Map<string, number>>>;

/** Nothing counted yet. */
export function newCounts(): Counts {
  return {
    history: new Map(),
    ends: new Map(),
    faults: new Map(),
    crashes: new Map(),
    transitions: new Map(),
  };
}

/** From so many lives on, all that there is must have been reached. */
const livesForAll = 1_000;

/** The sum of many lives. */
export class Tally {
  readonly counts = newCounts();
  #lives = 0;
  #steps = 0;
  #leastSteps = Number.POSITIVE_INFINITY;

  add({ steps, counts }: { readonly steps: number; readonly counts: Counts }): void {
    this.#lives += 1;
    this.#steps += steps;
    this.#leastSteps = Math.min(this.#leastSteps, steps);
    for (const name of countNames)
      for (const [what, times] of counts[name]) count(this.counts[name], what, times);
  }

  /** Everything counted, then the coverage, then the sums. */
  lines(): readonly string[] {
    const { faults, transitions, crashes } = this.counts;
    const injected = [...faults.values()].reduce((sum, times) => sum + times, 0);
    return [
      ...countNames.flatMap(name => [name, ...tableOf(this.counts[name])]),
      covered('transitions', allTransitions, transitions),
      covered('crash points', crashPoints, crashes),
      ...this.missing().map(what => `  never: ${what}`),
      `${this.#lives} lives, ${this.#steps} steps (${this.#leastSteps} at least in each), ${injected} faults of ${faults.size} kinds`,
    ];
  }

  /** Transitions and crash points that no life has been at. */
  missing(): readonly string[] {
    const { transitions, crashes } = this.counts;
    return [
      ...allTransitions.filter(step => !transitions.has(step)),
      ...crashPoints.filter(point => !crashes.has(point)),
    ];
  }

  /** Steps that were taken and are in no table: bugs. */
  illegal(): readonly string[] {
    return [...this.counts.transitions.keys()].filter(step => !allTransitions.includes(step));
  }

  /** So many lives should have been everywhere. */
  get isEnough(): boolean {
    return this.#lives >= livesForAll;
  }
}

/** `transitions 81 of 81 (100 %)`. */
function covered(name: string, all: readonly string[], seen: ReadonlyMap<string, number>): string {
  const reached = all.filter(each => seen.has(each)).length;
  // Rounded down: 100 % is all of them.
  return `${name} ${reached} of ${all.length} (${Math.floor((100 * reached) / all.length)} %)`;
}

function tableOf(counts: ReadonlyMap<string, number>): readonly string[] {
  return [...counts]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([what, times]) => `  ${String(times).padStart(8)}  ${what}`);
}

/** Adds one to a count. */
export function count(counts: Map<string, number>, key: string, times = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}
