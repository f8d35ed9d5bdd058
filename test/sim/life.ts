import { createVirtualClock, settle, type VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { Policy } from '../../src/lease/policies/policy.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { GroupRequest, WorkspaceRequest } from '../../src/protocol/cluster.ts';
import { WspError } from '../../src/protocol/errors.ts';
import type { Engine } from '../../src/service/engine-api.ts';
import type { Store } from '../../src/service/store/store.ts';
import { type Evidence, violations } from '../invariants.ts';
import { Dice } from './dice.ts';
import { SimLrm } from './lrm.ts';
import { SimNode, type Troubles } from './node.ts';
import { pilotLauncher } from './pilot.ts';
import { ServiceProcess } from './service.ts';
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
/** `recoverMs`: an LRM that was down is asked again within 30 s, and takes its time to answer. */
const tolerance: Evidence['tolerance'] = { followMs: 2_500, cancelMs: 0, endMs: 1_000, recoverMs: 32_000 };

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

const warm = {
  slots: 1,
  nodes: 1,
  memoryMiBPerNode: 2_048,
  cpusPerNode: 4,
  durationMs: 900_000,
  vmsPerNode: 3,
};
/** What users, administrators and misfortune do to a site; what is here twice is twice as likely. */
export const deeds = [
  'poweroff',
  'poweroff',
  'crash',
  'scancel',
  'preempt',
  'shorten',
  'hold',
  'cut',
  'parted',
  'pilot killed',
  'node lost',
  'lrm down',
  'order',
  'order',
  'extend',
  'restart',
] as const;

/** Each life is under one of them. */
const policies: readonly Policy[] = [
  { kind: 'exact' },
  { kind: 'pack', vmsPerNode: 3 },
  { kind: 'extendable', factor: 1.5 },
  { kind: 'reuse', keepMs: 60_000, factor: 2, vmsPerNode: 2, shared: false },
  { kind: 'reuse', keepMs: 600_000, factor: 4, vmsPerNode: 4, shared: true },
  { kind: 'warm', ...warm, shared: false },
  { kind: 'warm', ...warm, shared: true },
];

class Life {
  readonly #seed: number;
  readonly #dice: Dice;
  readonly #clock: VirtualClock = createVirtualClock(startMs);
  readonly #nodes: readonly SimNode[];
  readonly #lrm: SimLrm;
  readonly #store: Store;
  #policy: Policy;
  /** How likely it is at each crash point that the service dies there. */
  readonly #crashes: number;
  #service: ServiceProcess | undefined;
  #servedSince = Number.NEGATIVE_INFINITY;
  readonly #created = new Set<string>();
  readonly #destroyed = new Set<string>();
  readonly #acked = new Map<string, { slotId: string; node: string; seq: number }>();
  #links: (() => void)[] = [];
  readonly #partedUntil = new Map<string, number>();
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
      hub: () => this.#running().hub,
      acknowledged: (slotId, node, seq) => this.#acked.set(`${slotId} ${node}`, { slotId, node, seq }),
      linked: cut => this.#links.push(cut),
      partedUntil: node => this.#partedUntil.get(node) ?? 0,
      duplicates: dice.chance(0.3) ? 0.05 : 0,
    });
    this.#lrm = new SimLrm(this.#nodes, this.#clock, dice, launch);
    this.#store = store;
    this.#policy = policies[seed % policies.length] ?? { kind: 'exact' };
    this.#crashes = dice.chance(0.5) ? 0 : dice.pick([0.01, 0.1]);
  }

  #running(): ServiceProcess {
    if (!this.#service) throw new Error('ECONNREFUSED');
    return this.#service;
  }

  get #engine(): Engine {
    return this.#running().engine;
  }

  async #startService(): Promise<void> {
    const parts = { clock: this.#clock, random: this.#dice, log: silentLog };
    const options = engineOptions({ ...parts, store: this.#store, lrm: this.#lrm }, this.#policy);
    const service = new ServiceProcess(options, point => this.#diesAt(point));
    this.#service = service;
    const first = this.#clock.now() === startMs;
    this.#servedSince = Number.POSITIVE_INFINITY;
    void service.died.then(() => this.#serviceDied(service));
    await this.#during(Promise.race([service.engine.start(), service.died]));
    this.#servedSince = first ? Number.NEGATIVE_INFINITY : this.#clock.now();
  }

  #diesAt(point: string): boolean {
    // The service commits most of the time; it should not die there only.
    const likely = point.endsWith('commit') ? this.#crashes : this.#crashes * 3;
    if (this.#deedsLeft === 0 || !this.#dice.chance(likely)) return false;
    this.#note(`the service dies ${point}`);
    count(this.#history, `crash ${point}`);
    return true;
  }

  /** A supervisor starts it again, sooner or later. */
  #serviceDied(service: ServiceProcess): void {
    if (this.#service !== service) return;
    this.#service = undefined;
    this.#cutLinks();
    this.#later(this.#dice.pick([0, 1_000, 20_000, 200_000]), () => void this.#startService());
  }

  async run(): Promise<void> {
    await this.#startService();
    this.#planDeeds();
    await this.#until(() => this.#noWorkspaces());
    // Slots that are held for whoever comes would be held for ever: the site changes its policy.
    if (this.#policy.kind === 'warm') await this.#restart({ kind: 'exact' });
    await this.#until(() => this.#atRest());
    this.#check(true);
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (++this.#steps > stepLimit) throw new Error(`not at rest after ${stepLimit} steps`);
      if (!this.#clock.runNext()) throw new Error('nothing will happen any more, and not all is at rest');
      await settle();
      this.#check(false);
    }
  }

  async #restart(policy: Policy): Promise<void> {
    this.#note(`the service is restarted with policy ${policy.kind}`);
    this.#policy = policy;
    await this.#during(this.#engine.stop());
    this.#service = undefined;
    await this.#startService();
  }

  /** Reads the history, then stops the service. What it waits for while it stops needs time to pass. */
  async stop(): Promise<void> {
    if (this.#service) {
      await this.#readHistory();
      await this.#during(this.#engine.stop());
    }
    await this.#store.close();
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

  #noWorkspaces(): boolean {
    if (this.#deedsLeft > 0 || !this.#service) return false;
    return [...this.#engine.state.workspaces.values()].every(({ state }) => state === 'ended');
  }

  #atRest(): boolean {
    if (!this.#noWorkspaces()) return false;
    const { slots } = this.#engine.state;
    for (const { state } of slots.values()) if (state !== 'released' && state !== 'failed') return false;
    return (
      this.#lrm.truth().every(job => !job.live) && this.#nodes.every(({ controls }) => controls.size === 0)
    );
  }

  #check(over: boolean): void {
    const now = this.#clock.now();
    const service = this.#service;
    const none = { workspaces: new Map(), slots: new Map(), vms: new Map() };
    const found = violations({
      state: service?.engine.state ?? none,
      truth: {
        now,
        // Nobody can follow an LRM that does not answer, nor a node that cannot be heard.
        servedSince: Math.max(this.#servedSince, this.#lrm.downUntil, ...this.#partedUntil.values()),
        jobs: this.#lrm.truth(),
        nodes: this.#nodes.map(node => node.truth(now)),
      },
      acknowledged: {
        created: this.#created,
        destroyed: this.#destroyed,
        notifications: [...this.#acked.values()],
      },
      tolerance,
      over,
    });
    for (const message of service ? this.#strangers() : []) throw new Error(message);
    // Without a service there is still what must hold on nodes.
    const [first] = found.filter(({ invariant }) => service || invariant <= 2);
    if (first)
      throw new Error(`invariant ${first.invariant}: ${found.map(({ message }) => message).join('; ')}`);
  }

  /** VMs of different owners in one slot, where the site does not say that they may; more on a node than the slot has of it. */
  *#strangers(): Iterable<string> {
    const { settings, workspaces, slots, vms } = this.#engine.state;
    const policy = settings.pools[0]?.policy ?? { kind: 'exact' };
    const owners = new Map<string, string>();
    const memory = new Map<string, number>();
    for (const { id, slotId, node, workspaceId, state, memoryMiB } of vms.values()) {
      if (state === 'terminated' || state === 'failed') continue;
      const owner = workspaces.get(workspaceId)?.owner ?? '';
      const first = owners.get(slotId) ?? owner;
      owners.set(slotId, first);
      if (!('shared' in policy && policy.shared) && first !== owner)
        yield `${id} of ${owner} is in ${slotId} with VMs of ${first}`;
      const there = (memory.get(`${slotId} ${node}`) ?? 0) + memoryMiB + settings.vmmOverheadMiB;
      memory.set(`${slotId} ${node}`, there);
      if (node !== null && there > (slots.get(slotId)?.memoryMiBPerNode ?? 0))
        yield `the VMs on ${node} need ${there} MiB, more than ${slotId} has of it`;
    }
  }

  /** Users and administrators, and when they do what. */
  #planDeeds(): void {
    const dice = this.#dice;
    const most = 'shared' in this.#policy ? 8 : 3;
    for (let left = dice.int(1, most); left > 0; left--)
      this.#later(dice.int(0, dice.pick([60_000, 400_000])), () => this.#create());
    const acts: Readonly<Record<(typeof deeds)[number], () => void>> = {
      poweroff: () => this.#guestEnds('poweroff'),
      crash: () => this.#guestEnds('crash'),
      scancel: () => this.#adminEnds('cancelled', 'CANCELLED by 0'),
      preempt: () => this.#adminEnds('preempted', 'PREEMPTED'),
      shorten: () => this.#lrm.shorten(dice.int(20_000, 120_000)),
      hold: () => this.#hold(),
      cut: () => this.#cutLinks(),
      parted: () => this.#part(),
      'pilot killed': () => this.#lrm.killPilot(),
      'node lost': () => this.#lrm.loseNode(),
      'lrm down': () => this.#lrm.goDown(dice.pick([2_000, 60_000, 3_600_000])),
      order: () => this.#order(),
      extend: () => this.#extend(),
      restart: () => this.#service?.kill(),
    };
    for (let left = dice.int(0, 3); left > 0; left--) {
      const deed = dice.pick(deeds);
      this.#later(dice.int(1_000, 120_000), () => {
        this.#note(deed);
        count(this.#history, `deed ${deed}`);
        acts[deed]();
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
    if (!this.#service) {
      this.#note('nobody answers');
      return;
    }
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
    if (!this.#service) {
      this.#note('nobody answers');
      return;
    }
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

  /** The network between some nodes and the service carries nothing for a while. */
  #part(): void {
    const until = this.#clock.now() + this.#dice.pick([1_000, 20_000, 100_000]);
    for (const { name } of this.#nodes) if (this.#dice.chance(0.5)) this.#partedUntil.set(name, until);
  }

  /** A user has something done to his VMs. */
  #order(): void {
    const running = this.#anyRunning();
    if (!running) return;
    const operation = this.#dice.pick(['pause', 'resume', 'reboot'] as const);
    this.#note(`${operation} ${running.id}`);
    this.#engine
      .operate(running.id, running.owner, { operation })
      .catch((cause: unknown) => this.#refused(cause));
  }

  #extend(): void {
    const running = this.#anyRunning();
    if (!running) return;
    const durationMs = this.#dice.pick([1_000, 60_000, 3_600_000]);
    this.#note(`extend ${running.id} by ${durationMs}`);
    this.#engine
      .extend(running.id, running.owner, durationMs)
      .catch((cause: unknown) => this.#refused(cause));
  }

  #anyRunning(): { readonly id: string; readonly owner: string } | undefined {
    if (!this.#service) return undefined;
    const running = [...this.#engine.state.workspaces.values()].filter(({ state }) => state === 'running');
    return running[this.#dice.int(0, Math.max(0, running.length - 1))];
  }

  #adminEnds(verdict: 'cancelled' | 'preempted', reason: string): void {
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

  #cutLinks(): void {
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
    const used = new Set<string>();
    for (const { cause, reason, slotId, vmIds } of this.#engine.state.workspaces.values()) {
      count(this.#ends, `${cause}:${reason?.code}`);
      if (vmIds.length > 0 && used.has(slotId)) count(this.#history, 'slot used again');
      used.add(slotId);
    }
    for (const { warm, workspaceIds } of this.#engine.state.slots.values())
      if (warm && workspaceIds.length > 0) count(this.#history, 'warm slot used');
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
  const durationMs = dice.pick([1_000, 5_000, 60_000, 300_000, 900_000]);
  return { groups, durationMs, ...(dice.chance(0.3) ? { name: 'shared' } : {}) };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
