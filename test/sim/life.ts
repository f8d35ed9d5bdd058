import { createVirtualClock, settle, type VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { LeaseSettings } from '../../src/lease/types.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { GroupRequest, WorkspaceRequest } from '../../src/protocol/cluster.ts';
import { WspError } from '../../src/protocol/errors.ts';
import type { Engine } from '../../src/service/engine-api.ts';
import { createEngine } from '../../src/service/engine.ts';
import type { Store } from '../../src/service/store/store.ts';
import { type Evidence, violations } from '../invariants.ts';
import { Dice } from './dice.ts';
import { SimLrm } from './lrm.ts';
import { SimNode, type Troubles } from './node.ts';
import { pilotLauncher } from './pilot.ts';
import { engineOptions } from './site.ts';

/** What became of one seed. */
export interface LifeReport {
  readonly seed: number;
  readonly steps: number;
  readonly virtualMs: number;
  /** How often each line of the history was written: `workspace.running`, `slot.failed`, … */
  readonly history: ReadonlyMap<string, number>;
  /** How workspaces ended: `expired`, `failed:reserve_timeout`, `refused:exceeds_site`, … */
  readonly ends: ReadonlyMap<string, number>;
  /** Absent when all went as it must. */
  readonly failure?: string;
  readonly trace: readonly string[];
}

const startMs = Date.UTC(2026, 0, 1);
/** A life that has not come to rest by then never will. */
const stepLimit = 20_000;
const tolerance: Evidence['tolerance'] = { followMs: 2_500, cancelMs: 0, endMs: 1_000 };

/**
 * One seeded life of a site: users, administrators, a scheduler, nodes and the real service, until nothing is left to happen.
 *
 *   seed ─► dice ─► plan of deeds ─┐
 *                                  ▼
 *   virtual clock ─ one timer ─► engine, LRM, pilots, deeds ─► promises settle ─► the seven invariants ─┐
 *        ▲                                                                                              │
 *        └───────────────────────────────── until all is at rest ◄──────────────────────────────────────┘
 */
export async function live(seed: number, store: Store): Promise<LifeReport> {
  const life = new Life(seed, store);
  try {
    await life.run();
    await life.stop();
    return life.report();
  } catch (cause) {
    await life.stop().catch(() => undefined);
    return life.report(cause instanceof Error ? cause.message : String(cause));
  }
}

/** Each life is under one of them. */
const policies: readonly LeaseSettings['policy'][] = [
  { kind: 'exact' },
  { kind: 'pack', vmsPerNode: 3 },
  { kind: 'extendable', factor: 1.5 },
];

class Life {
  readonly #seed: number;
  readonly #dice: Dice;
  readonly #clock: VirtualClock = createVirtualClock(startMs);
  readonly #nodes: readonly SimNode[];
  readonly #lrm: SimLrm;
  readonly #engine: Engine;
  readonly #created = new Set<string>();
  readonly #destroyed = new Set<string>();
  readonly #acked = new Map<string, { slotId: string; node: string; seq: number }>();
  #links: (() => void)[] = [];
  readonly #trace: string[] = [];
  readonly #history = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  #deedsLeft = 0;
  #steps = 0;

  constructor(seed: number, store: Store) {
    this.#seed = seed;
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#nodes = Array.from({ length: dice.int(1, 6) }, (_, index) => new SimNode(`n${index}`));
    const launch = pilotLauncher({
      clock: this.#clock,
      dice,
      troubles: troublesOf(dice),
      hub: () => this.#engine.pilots,
      acknowledged: (slotId, node, seq) => this.#acked.set(`${slotId} ${node}`, { slotId, node, seq }),
      linked: cut => this.#links.push(cut),
    });
    this.#lrm = new SimLrm(this.#nodes, this.#clock, dice, launch);
    this.#engine = createEngine(
      engineOptions(
        { clock: this.#clock, random: dice, log: silentLog, store, lrm: this.#lrm },
        policies[seed % policies.length] ?? { kind: 'exact' },
      ),
    );
  }

  async run(): Promise<void> {
    await this.#during(this.#engine.start());
    this.#planDeeds();
    while (!this.#atRest()) {
      if (++this.#steps > stepLimit) throw new Error(`not at rest after ${stepLimit} steps`);
      if (!this.#clock.runNext()) throw new Error('nothing will happen any more, and not all is at rest');
      await settle();
      this.#check(false);
    }
    this.#check(true);
  }

  /** Reads the history, then stops the service. What it waits for while it stops needs time to pass. */
  async stop(): Promise<void> {
    await this.#readHistory();
    await this.#during(this.#engine.stop());
  }

  /** Lets time pass until something has come about. */
  async #during<T>(work: Promise<T>): Promise<T> {
    let pending = true;
    const watched = work.finally(() => {
      pending = false;
    });
    for (await settle(); pending; await settle())
      if (!this.#clock.runNext()) throw new Error('what is waited for will never come');
    return watched;
  }

  report(failure?: string): LifeReport {
    const virtualMs = this.#clock.now() - startMs;
    const base = { seed: this.#seed, steps: this.#steps, virtualMs, trace: this.#trace };
    const report = { ...base, history: this.#history, ends: this.#ends };
    return failure === undefined ? report : { ...report, failure };
  }

  #atRest(): boolean {
    const { workspaces, slots } = this.#engine.state;
    if (this.#deedsLeft > 0) return false;
    for (const { state } of workspaces.values()) if (state !== 'ended') return false;
    for (const { state } of slots.values()) if (state !== 'released' && state !== 'failed') return false;
    return (
      this.#lrm.truth().every(job => !job.live) && this.#nodes.every(({ controls }) => controls.size === 0)
    );
  }

  #check(over: boolean): void {
    const now = this.#clock.now();
    const found = violations({
      state: this.#engine.state,
      truth: { now, jobs: this.#lrm.truth(), nodes: this.#nodes.map(node => node.truth(now)) },
      acknowledged: {
        created: this.#created,
        destroyed: this.#destroyed,
        notifications: [...this.#acked.values()],
      },
      tolerance,
      over,
    });
    const [first] = found;
    if (first)
      throw new Error(`invariant ${first.invariant}: ${found.map(({ message }) => message).join('; ')}`);
  }

  /** Users and administrators, and when they do what. */
  #planDeeds(): void {
    const dice = this.#dice;
    for (let count = dice.int(1, 3); count > 0; count--)
      this.#later(dice.int(0, 60_000), () => this.#create());
    for (let count = dice.int(0, 3); count > 0; count--) {
      const deed = dice.pick([
        ['poweroff', () => this.#guestEnds('poweroff')],
        ['poweroff', () => this.#guestEnds('poweroff')],
        ['crash', () => this.#guestEnds('crash')],
        ['scancel', () => this.#adminEnds('cancelled', 'CANCELLED by 0')],
        ['preempt', () => this.#adminEnds('cancelled', 'PREEMPTED')],
        ['shorten', () => this.#lrm.shorten(dice.int(20_000, 120_000))],
        ['hold', () => this.#hold()],
        ['cut', () => this.#cutLink()],
      ] as const);
      this.#later(dice.int(1_000, 120_000), () => {
        this.#note(deed[0]);
        deed[1]();
      });
    }
  }

  #later(delayMs: number, deed: () => void): void {
    this.#deedsLeft += 1;
    this.#clock.after(delayMs, () => {
      this.#deedsLeft -= 1;
      deed();
    });
  }

  #create(): void {
    const dice = this.#dice;
    const request = randomRequest(dice);
    const owner = dice.pick(['ann', 'bob']);
    // Decided now, so that what happens does not depend on what has happened.
    const destroyAfterMs = dice.chance(0.5) ? dice.int(0, dice.pick([500, 10_000, 100_000])) : undefined;
    this.#note(`create ${JSON.stringify(request)}`);
    this.#engine.create(owner, request).then(
      ({ id }) => {
        this.#created.add(id);
        this.#note(`accepted ${id}`);
        if (destroyAfterMs !== undefined) this.#later(destroyAfterMs, () => this.#destroy(id, owner));
      },
      (cause: unknown) => this.#refused(cause),
    );
  }

  #refused(cause: unknown): void {
    if (!(cause instanceof WspError) || cause.code === 'internal') throw cause;
    this.#note(`refused: ${cause.message}`);
    count(this.#ends, `refused:${cause.code}`);
  }

  #destroy(id: string, owner: string): void {
    this.#note(`destroy ${id}`);
    this.#engine.destroy(id, owner).then(
      () => this.#destroyed.add(id),
      (cause: unknown) => this.#refused(cause),
    );
  }

  #guestEnds(how: 'poweroff' | 'crash'): void {
    const guests = this.#nodes.flatMap(({ controls }) =>
      [...controls.values()].flatMap(control => control.upVms().map(vmId => ({ control, vmId }))),
    );
    const guest = guests[this.#dice.int(0, Math.max(0, guests.length - 1))];
    guest?.control.guestEnds(guest.vmId, how);
  }

  #adminEnds(verdict: 'cancelled', reason: string): void {
    const ids = [...this.#lrm.idsOf('running'), ...this.#lrm.idsOf('waiting')];
    const jobId = ids[this.#dice.int(0, Math.max(0, ids.length - 1))];
    if (jobId !== undefined) this.#lrm.end(jobId, verdict, reason);
  }

  #hold(): void {
    for (const jobId of this.#lrm.idsOf('waiting')) {
      this.#lrm.hold(jobId, true);
      this.#later(this.#dice.int(1_000, 60_000), () => this.#lrm.hold(jobId, false));
    }
  }

  #cutLink(): void {
    const cuts = this.#links;
    this.#links = [];
    for (const cut of cuts) cut();
  }

  #note(what: string): void {
    this.#trace.push(`${this.#clock.now() - startMs} ms: ${what}`);
  }

  /** The history is the trace's other half: what the service made of the deeds. */
  async #readHistory(): Promise<void> {
    for (const event of await this.#engine.events({ after: 0, limit: 100_000 })) {
      count(this.#history, event.type);
      const about = [event.workspaceId, event.vmId, event.node, event.reason?.message]
        .filter(Boolean)
        .join(' ');
      this.#trace.push(`${event.recordedAt - startMs} ms: ${event.type} ${about}`);
    }
    for (const { cause, reason } of this.#engine.state.workspaces.values())
      count(this.#ends, `${cause}:${reason?.code}`);
  }
}

function troublesOf(dice: Dice): Troubles {
  const never = { startFails: 0, reserveFails: 0, ignoresShutdown: 0, contextFails: 0, stalls: 0 };
  if (dice.chance(0.6)) return never;
  return { startFails: 0.05, reserveFails: 0.05, ignoresShutdown: 0.3, contextFails: 0.1, stalls: 0.03 };
}

function randomRequest(dice: Dice): WorkspaceRequest {
  const groups = Array.from(
    { length: dice.int(1, 2) },
    (_, index): GroupRequest => ({
      name: `g${index}`,
      image: dice.chance(0.03) ? 'unknown' : 'mini',
      count: dice.chance(0.03) ? 40 : dice.int(1, 2),
      memoryMiB: dice.pick([64, 512, 4_096]),
      cpus: dice.int(1, 2),
      ...(dice.chance(0.3) ? { networks: ['public', 'private'] } : {}),
    }),
  );
  const durationMs = dice.pick([1_000, 5_000, 60_000, 300_000, 3_600_000]);
  return { groups, durationMs, ...(dice.chance(0.3) ? { name: 'shared' } : {}) };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
