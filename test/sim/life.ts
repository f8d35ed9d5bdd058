import { isDeepStrictEqual } from 'node:util';
import { emptyMaps } from '../../src/lease/decide.ts';
import { isFinalSlot } from '../../src/lease/transitions.ts';
import { createVirtualClock, settle, type VirtualClock } from '../../src/platform/virtual-clock.ts';
import type { Policy } from '../../src/lease/policies/index.ts';
import type { DrainPolicy } from '../../src/lease/settings.ts';
import { silentLog } from '../../src/platform/log.ts';
import { WspError } from '../../src/protocol/errors.ts';
import type { Engine } from '../../src/service/core/engine-api.ts';
import type { Commit, Store } from '../../src/service/store/store.ts';
import { type Evidence, violations } from '../invariants.ts';
import { count, type Counts, newCounts, transitionsOf } from './coverage.ts';
import type { CrashPoint } from './crash-points.ts';
import { Dice } from './dice.ts';
import {
  type Deed,
  deeds,
  deedsOnRunning,
  Disk,
  Faults,
  ordersAtPartition,
  clocksAhead,
  setClock,
  troublesOf,
} from './faults.ts';
import { SimLrm } from './lrm.ts';
import type { Cable } from './network.ts';
import { SimNode } from './node.ts';
import { pilotLauncher } from './pilot.ts';
import { ServiceProcess } from './service.ts';
import { engineOptions, policies } from './site.ts';
import { strangers } from './strangers.ts';
import { Users } from './users.ts';
import { Witness } from './witness.ts';

/** What became of one seed. */
export interface LifeReport {
  readonly seed: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly counts: Counts;
  /** Absent when all went as it must. */
  readonly failure?: string;
  readonly trace: readonly string[];
}

const startMs = Date.UTC(2026, 0, 1);
/** A life that has not come to rest by then never will. */
const stepLimit = 40_000;
/** A life that comes to rest sooner goes on with more users and misfortunes; and so, for a while, does one that still looks for a crash point. */
const leastSteps = 200;
const mostRoundsForAim = 3;
const mostRoundsForRareAim = 10;
/**
 * `recoverMs`: an LRM that was down is asked again within 30 s, and takes its time to answer. `disownedMs`: a pilot whose node's work stalls (200 s) leaves after that, and
 * an LRM that takes its job for gone does not end it sooner.
 */
const tolerance: Evidence['tolerance'] = {
  followMs: 2_500,
  cancelMs: 0,
  endMs: 1_000,
  recoverMs: 32_000,
  disownedMs: 240_000,
};

/**
 * One seeded life of a site: users, administrators, a scheduler, nodes and the real service, until nothing is left to happen.
 *
 *   seed ─► dice ─► plan of deeds ─┐
 *                                  ▼
 *   virtual clock ─ one timer ─► engine, LRM, pilots, deeds ─► promises settle ─► the invariants ───────┐
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

class Life {
  readonly #seed: number;
  readonly #dice: Dice;
  readonly #clock: VirtualClock = createVirtualClock(startMs);
  readonly #nodes: readonly SimNode[];
  readonly #lrm: SimLrm;
  readonly #store: Store;
  #policy: Policy;
  readonly #drain: DrainPolicy;
  /** How likely it is at each crash point that the service dies there. */
  readonly #crashes: number;
  readonly #faults: Faults;
  readonly #disk: Disk;
  /** The service's own. */
  readonly #serviceClock = setClock(this.#clock, 0);
  #steppedAt = Number.NEGATIVE_INFINITY;
  /** A pilot whose link is gone without its knowing cannot be told anything. */
  #halfOpenUntil = Number.NEGATIVE_INFINITY;
  readonly #users: Users;
  #service: ServiceProcess | undefined;
  #servedSince = Number.NEGATIVE_INFINITY;
  readonly #acked = new Map<string, { slotId: string; node: string; seq: number }>();
  /** By workspace and name of a VM: what a client may have been told of its addresses. */
  readonly #addresses = new Map<string, string>();
  /** The newest version of each entity that was ever there: what is retired stays as it was. */
  readonly #ever = emptyMaps();
  /** What was seen on the network and on nodes that must not be. */
  readonly #broken: string[] = [];
  readonly #witness = new Witness(what => this.#broken.push(`invariant 9: ${what}`));
  #links: Cable[] = [];
  readonly #partedUntil = new Map<string, number>();
  readonly #trace: string[] = [];
  readonly #counts = newCounts();
  #deedsLeft = 0;
  #steps = 0;

  constructor(seed: number, store: Store) {
    this.#seed = seed;
    const dice = new Dice(seed);
    this.#dice = dice;
    const faults = new Faults(seed, dice, this.#counts);
    this.#faults = faults;
    this.#disk = new Disk(this.#clock, dice, faults);
    this.#nodes = Array.from({ length: dice.int(1, 6) }, (_, index) => new SimNode(`n${index}`));
    const ahead = clocksAhead(this.#nodes, dice, faults);
    const launch = pilotLauncher({
      faults,
      aheadMs: node => ahead.get(node) ?? 0,
      nodeLost: node => this.#lrm.loseNode(node),
      clock: this.#clock,
      dice,
      troubles: troublesOf(dice, faults),
      hub: () => this.#running().hub,
      serves: () => this.#service?.isAlive === true,
      acknowledged: (slotId, node, seq) => this.#acknowledged(slotId, node, seq),
      witness: this.#witness,
      tellsTime: () => this.#tellsTime,
      left: what => this.#broken.push(`invariant 2: ${what}`),
      linked: link => this.#links.push(link),
      partedUntil: node => this.#partedUntil.get(node) ?? 0,
      duplicates: dice.chance(0.3) ? 0.05 : 0,
    });
    this.#lrm = new SimLrm(this.#nodes, this.#clock, dice, faults, launch);
    this.#store = store;
    this.#policy = policies[seed % policies.length] ?? { kind: 'exact' };
    this.#drain = Math.floor(seed / policies.length) % 2 === 0 ? 'leave' : 'wait';
    this.#crashes = dice.chance(0.5) ? 0 : dice.pick([0.01, 0.1]);
    this.#users = new Users({
      clock: this.#clock,
      dice,
      faults,
      engine: () => this.#engine,
      note: what => this.#note(what),
      later: (delayMs, deed) => this.#later(delayMs, deed),
      ends: this.#counts.ends,
    });
  }

  get #tellsTime(): boolean {
    return this.#steppedAt === Number.NEGATIVE_INFINITY;
  }

  #acknowledged(slotId: string, node: string, seq: number): void {
    const most = Math.max(seq, this.#acked.get(`${slotId} ${node}`)?.seq ?? 0);
    this.#acked.set(`${slotId} ${node}`, { slotId, node, seq: most });
  }

  #running(): ServiceProcess {
    if (!this.#service) throw new Error('ECONNREFUSED');
    return this.#service;
  }

  get #engine(): Engine {
    return this.#running().engine;
  }

  async #startService(): Promise<void> {
    const parts = { clock: this.#serviceClock, random: this.#dice, log: silentLog };
    const store = this.#disk.under(
      this.#store,
      () => this.#service === service,
      commit => this.#remember(commit),
    );
    const options = engineOptions({ ...parts, store, lrm: this.#lrm }, this.#policy, this.#drain);
    const onBroken = (): void => this.#service?.kill();
    const service = new ServiceProcess({ ...options, onBroken }, point => this.#diesAt(point));
    this.#service = service;
    const first = this.#clock.now() === startMs;
    this.#servedSince = Number.POSITIVE_INFINITY;
    void service.died.then(() => this.#serviceDied(service));
    // One that cannot begin ends, and is started again.
    const started = service.engine.start().catch((cause: unknown) => {
      if (!(cause instanceof WspError) || cause.code !== 'busy') throw cause;
      service.kill();
    });
    await this.#during(Promise.race([started, service.died]));
    this.#servedSince = first ? Number.NEGATIVE_INFINITY : this.#clock.now();
  }

  #diesAt(point: CrashPoint): boolean {
    const dies = this.#strikesAt(point);
    if (dies) this.#note(`${point}: it dies`);
    return dies;
  }

  #strikesAt(point: CrashPoint): boolean {
    if (this.#faults.strikes(point)) return true;
    // The service commits most of the time; it should not die there only.
    const likely = point.endsWith('commit') ? this.#crashes : this.#crashes * 3;
    if (this.#deedsLeft === 0 || !this.#dice.chance(likely)) return false;
    this.#faults.died(point);
    return true;
  }

  /** A supervisor starts it again, sooner or later. */
  #serviceDied(service: ServiceProcess): void {
    if (this.#service !== service) return;
    this.#service = undefined;
    const links = this.#links;
    this.#links = [];
    for (const link of links) link.serviceGone();
    this.#later(this.#awayMs([0, 1_000, 20_000, 200_000]), () => void this.#startService());
  }

  /** How long something is not there: sometimes for an hour. */
  #awayMs(usual: readonly [number, ...number[]]): number {
    return this.#dice.chance(0.03) ? 3_600_000 : this.#dice.pick(usual);
  }

  async run(): Promise<void> {
    await this.#startService();
    for (let round = 1; ; round++) {
      this.#planDeeds();
      while (!this.#noWorkspaces()) {
        await this.#until(() => this.#nothingPlanned() || this.#noWorkspaces());
        if (this.#service) this.#users.giveUp();
        await this.#until(() => !this.#nothingPlanned() || this.#noWorkspaces());
      }
      const { aiming, favoured } = this.#faults;
      const looking = aiming && round < (favoured ? mostRoundsForRareAim : mostRoundsForAim);
      if (this.#steps >= leastSteps && !looking && this.#counts.faults.size > 0) break;
    }
    this.#faults.over = true;
    // Slots that are held for whoever comes would be held for ever: the site changes its policy.
    if (this.#policy.kind === 'warm') await this.#restart({ kind: 'exact' });
    await this.#until(() => this.#atRest());
    this.#check(true);
    await this.#checkRetired();
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
    // What was done, and what the service made of it, in the order of time.
    const trace = this.#trace.toSorted((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10));
    const base = { seed: this.#seed, steps: this.#steps, virtualMs, trace };
    const report = { ...base, counts: this.#counts };
    return failure === undefined ? report : { ...report, failure };
  }

  /** Nobody is about to do anything, and the service is there. */
  #nothingPlanned(): boolean {
    return this.#deedsLeft === 0 && this.#users.idle && this.#service !== undefined;
  }

  #noWorkspaces(): boolean {
    if (!this.#nothingPlanned()) return false;
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
    // In the service's time: it says in it when leases end.
    const { aheadMs } = this.#serviceClock;
    const now = this.#serviceClock.now();
    const service = this.#service;
    const found = violations({
      state: service ? this.#ever : emptyMaps(),
      truth: {
        now,
        servedSince: this.#untroubledSince() + aheadMs,
        // Of a clock that was set nobody can tell when a job ends.
        jobs: this.#lrm.truth(aheadMs, this.#tellsTime),
        nodes: this.#nodes.map(node => node.truth(now)),
      },
      acknowledged: {
        created: this.#users.created,
        destroyed: this.#users.destroyed,
        notifications: [...this.#acked.values()],
        addresses: this.#addresses,
      },
      tolerance,
      over,
    });
    this.#witness.look(slotId => isFinalSlot(this.#ever.slots.get(slotId)?.state ?? 'requested'));
    const strange = service ? strangers(service.engine.state) : [];
    for (const message of [...strange, ...this.#broken]) throw new Error(message);
    if (service) this.#noteAddresses(service.engine.state);
    // Without a service there is still what must hold on nodes.
    const [first] = found.filter(({ invariant }) => service || invariant <= 2);
    if (first)
      throw new Error(`invariant ${first.invariant}: ${found.map(({ message }) => message).join('; ')}`);
  }

  #remember({ workspaces, slots, vms }: Commit): void {
    for (const workspace of workspaces) this.#ever.workspaces.set(workspace.id, workspace);
    for (const slot of slots) this.#ever.slots.set(slot.id, slot);
    for (const vm of vms) this.#ever.vms.set(vm.id, vm);
  }

  /** What has left memory is found as it was, and nothing that lives has left it. */
  async #checkRetired(): Promise<void> {
    const { workspaces } = this.#engine.state;
    for (const [id, workspace] of this.#ever.workspaces) {
      if (workspaces.has(id)) continue;
      count(this.#counts.history, 'retired');
      const found = await this.#engine.find(id);
      const vms = (of: ReadonlyMap<string, unknown> | undefined): unknown[] =>
        workspace.vmIds.map(vmId => of?.get(vmId));
      const isSame =
        isDeepStrictEqual(found?.workspace, workspace) &&
        isDeepStrictEqual(vms(found?.among.vms), vms(this.#ever.vms)) &&
        (workspace.vmIds.length === 0 || found?.among.slots.get(workspace.slotId) !== undefined);
      if (!isSame || workspace.state !== 'ended') throw new Error(`${id} was retired, and is not as it was`);
    }
  }

  /** From now on they are those of this VM, and of whatever takes its place. */
  #noteAddresses({ vms }: Engine['state']): void {
    for (const { workspaceId, name, nics } of vms.values()) {
      const key = `${workspaceId}/${name}`;
      if (!this.#addresses.has(key)) this.#addresses.set(key, nics.map(({ address }) => address).join(' '));
    }
  }

  /**
   * Nobody can follow an LRM that does not answer, nor a node that cannot be heard; nor remember on a disk that does not take it; nor end what the kernel does
   * not let go.
   */
  #untroubledSince(): number {
    const nodes = this.#nodes.flatMap(({ name, troubledUntil }) => [
      troubledUntil,
      this.#partedUntil.get(name) ?? 0,
    ]);
    const troubles = [
      this.#lrm.troubledUntil,
      this.#lrm.doubtedUntil(this.#servedSince),
      this.#disk.troubledUntil,
      this.#steppedAt,
      this.#halfOpenUntil,
    ];
    return Math.max(this.#servedSince, ...troubles, ...nodes);
  }

  /** Users and administrators, and when they do what. */
  #planDeeds(): void {
    const dice = this.#dice;
    const most = 'shared' in this.#policy ? 8 : 3;
    for (let left = dice.int(1, most); left > 0; left--)
      this.#later(dice.int(0, dice.pick([60_000, 400_000])), () => this.#users.create());
    const acts: Readonly<Record<Deed, () => void>> = {
      poweroff: () => this.#guestEnds('poweroff'),
      crash: () => this.#guestEnds('crash'),
      scancel: () => this.#adminEnds('cancelled', 'CANCELLED by 0'),
      preempt: () => this.#adminEnds('preempted', 'PREEMPTED'),
      shorten: () => this.#lrm.shorten(dice.int(20_000, 120_000)),
      hold: () => this.#hold(),
      cut: () => this.#cutLinks(),
      parted: () =>
        this.#part(
          this.#awayMs([1_000, 20_000, 100_000]),
          this.#nodes.filter(() => dice.chance(0.5)),
        ),
      'parted at orders': () => this.#partAtOrders(),
      'pilot killed': () => this.#lrm.killPilot(),
      'node lost': () => this.#lrm.loseNode(),
      suspend: () => {
        const forMs = this.#awayMs([5_000, 70_000, 400_000]);
        this.#part(forMs, this.#lrm.suspend(forMs));
      },
      drain: () => this.#lrm.drain(this.#awayMs([15_000, 15_000, 300_000])),
      'lrm down': () => this.#lrm.goDown(dice.pick([2_000, 60_000, 3_600_000])),
      'lrm lies': () => this.#lrm.disown(dice.pick(['hidden', 'failed']), dice.pick([1_000, 60_000, 9e6])),
      'job lost': () => this.#lrm.lose(),
      order: () => this.#users.order(),
      extend: () => this.#users.extend(),
      restart: () => this.#service?.kill(),
      disk: () => (dice.chance(0.5) ? this.#disk.slow(20_000) : this.#disk.fill(dice.pick([500, 20_000]))),
      'clock step': () => this.#stepClock(dice.pick([-300_000, -20_000, -500, 500, 20_000, 300_000])),
    };
    const { favoured } = this.#faults;
    for (let left = dice.int(favoured ? 2 : 0, 4); left > 0; left--) {
      const deed = favoured && dice.chance(0.7) ? favoured : dice.pick(deeds);
      this.#later(dice.int(1_000, 120_000), () => {
        this.#whenItCan(deed, () => {
          this.#note(deed);
          this.#faults.happened(`deed ${deed}`);
          acts[deed]();
        });
      });
    }
  }

  /** Waits for a workspace that runs, if the deed needs one; but not for ever. */
  #whenItCan(kind: Deed, deed: () => void, tries = 15): void {
    if (tries === 0 || !deedsOnRunning.has(kind) || this.#users.anyRunning()) return deed();
    this.#later(4_000, () => this.#whenItCan(kind, deed, tries - 1));
  }

  #later(delayMs: number, deed: () => void): void {
    this.#deedsLeft += 1;
    this.#clock.after(delayMs, () => {
      this.#deedsLeft -= 1;
      deed();
    });
  }

  /** `of`: a guest of this workspace. */
  #guestEnds(how: 'poweroff' | 'crash', of = ''): void {
    const guests = this.#nodes.flatMap(({ controls }) =>
      [...controls].flatMap(control =>
        control.upVms().flatMap(vmId => (vmId.startsWith(of) ? [{ control, vmId }] : [])),
      ),
    );
    const guest = guests[this.#dice.int(0, Math.max(0, guests.length - 1))];
    guest?.control.guestEnds(guest.vmId, how);
  }

  /** Somebody sets the clock of the service's machine. */
  #stepClock(byMs: number): void {
    this.#serviceClock.aheadMs += byMs;
    // What is to be done at a time is done when the clock that was set back is there again.
    this.#steppedAt = this.#clock.now() + Math.max(0, -byMs);
  }

  /** The network between the service and nodes carries nothing for a while. */
  #part(forMs: number, nodes: readonly SimNode[]): void {
    for (const { name } of nodes) {
      this.#partedUntil.set(name, this.#clock.now() + forMs);
      for (const link of this.#links) if (link.node === name) link.parted(forMs);
    }
  }

  /** An order gets through in a moment between two partitions; what becomes of it is heard much later, after its pilot has come back. */
  #partAtOrders(): void {
    const dice = this.#dice;
    const { heard, afterMs, unheard, thenOff } = dice.pick(ordersAtPartition);
    const running = this.#users.anyRunning();
    if (!running) return;
    this.#users.operate(running, heard);
    this.#later(afterMs, () => {
      this.#part(200, this.#nodes);
      this.#users.operate(running, unheard);
      this.#later(200 + dice.int(3, 12), () => this.#part(55_000, this.#nodes));
    });
    if (thenOff) this.#later(10_000, () => this.#guestEnds('poweroff', running.id));
    else if (dice.chance(0.5)) this.#later(10_000, () => this.#guestEnds('poweroff'));
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
    for (const link of cuts)
      this.#halfOpenUntil = Math.max(this.#halfOpenUntil, this.#clock.now() + link.cut());
  }

  #note(what: string): void {
    this.#trace.push(`${this.#clock.now() - startMs} ms: ${what}`);
  }

  /** The history is the trace's other half: what the service made of the deeds. */
  async #readHistory(): Promise<void> {
    const events = await this.#engine.events({ after: 0, limit: 100_000 });
    for (const step of transitionsOf(events)) count(this.#counts.transitions, step);
    for (const event of events) {
      count(this.#counts.history, event.type);
      const about = [event.workspaceId, event.vmId, event.node, event.reason?.message]
        .filter(Boolean)
        .join(' ');
      this.#trace.push(`${event.recordedAt - startMs} ms: ${event.type} ${about}`);
    }
    const used = new Set<string>();
    for (const { cause, reason, slotId, vmIds } of this.#ever.workspaces.values()) {
      count(this.#counts.ends, `${cause}:${reason?.code}`);
      if (vmIds.length > 0 && used.has(slotId)) count(this.#counts.history, 'slot used again');
      used.add(slotId);
    }
    for (const { warm, workspaceIds } of this.#ever.slots.values())
      if (warm && workspaceIds.length > 0) count(this.#counts.history, 'warm slot used');
  }
}
