import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import type { VmOperation } from '../../src/protocol/cluster.ts';
import type { Commit, Store } from '../../src/service/store/store.ts';
import type { Troubles } from './control.ts';
import { count, type Counts } from './coverage.ts';
import { type CrashPoint, crashPoints } from './crash-points.ts';
import type { Dice } from './dice.ts';
import type { SimNode } from './node.ts';

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
  'drain',
  'drain',
  'suspend',
  'suspend',
  'lrm down',
  'parted at orders',
  'parted at orders',
  'lrm lies',
  'job lost',
  'order',
  'order',
  'order',
  'extend',
  'restart',
  'disk',
  'clock step',
] as const;
export type Deed = (typeof deeds)[number];

interface TwoOrders {
  /** Its outcome is heard. */
  readonly heard: VmOperation;
  readonly afterMs: number;
  /** Gets through in a moment between two partitions. */
  readonly unheard: VmOperation;
  /** A guest powers itself off while nobody hears of it. */
  readonly thenOff?: true;
}

/** What is ordered of VMs around a partition. */
export const ordersAtPartition: readonly [TwoOrders, ...TwoOrders[]] = [
  { heard: 'pause', afterMs: 400, unheard: 'shutdown' },
  { heard: 'pause', afterMs: 900, unheard: 'shutdown' },
  { heard: 'pause', afterMs: 400, unheard: 'shutdown' },
  { heard: 'pause', afterMs: 400, unheard: 'resume', thenOff: true },
  { heard: 'pause', afterMs: 900, unheard: 'resume', thenOff: true },
  { heard: 'pause', afterMs: 2_000, unheard: 'resume', thenOff: true },
  { heard: 'pause', afterMs: 2_000, unheard: 'resume', thenOff: true },
  { heard: 'resume', afterMs: 400, unheard: 'shutdown' },
  { heard: 'reboot', afterMs: 400, unheard: 'shutdown' },
  { heard: 'reboot', afterMs: 900, unheard: 'shutdown' },
  { heard: 'reboot', afterMs: 400, unheard: 'shutdown' },
  { heard: 'reboot', afterMs: 1_500, unheard: 'shutdown' },
  { heard: 'shutdown', afterMs: 6_000, unheard: 'start' },
  { heard: 'shutdown', afterMs: 6_000, unheard: 'start' },
  { heard: 'shutdown', afterMs: 6_000, unheard: 'start' },
  { heard: 'shutdown', afterMs: 6_000, unheard: 'start' },
];

/** Deeds that need a workspace that runs. */
export const deedsOnRunning: ReadonlySet<Deed> = new Set([
  'drain',
  'suspend',
  'order',
  'extend',
  'parted at orders',
  'poweroff',
  'crash',
  'shorten',
]);

/** What must happen for some crash points to come about at all. */
const needs: readonly (readonly [RegExp, Deed])[] = [
  [/preempting/, 'preempt'],
  [/job-end/, 'shorten'],
  [/operate-vm|vm (paused|rebooting|stopped)/, 'order'],
  [/extend/, 'extend'],
  [/dismiss/, 'lrm lies'],
  [/vm failed/, 'crash'],
];

function needFor(point: CrashPoint): Deed | undefined {
  return needs.find(([points]) => points.test(point))?.[1];
}

const isOfFailure = (point: CrashPoint): boolean => point.endsWith('failed');

/** An aim: somebody dies when a point is reached, having been passed so many times before. */
interface Aim {
  readonly point: CrashPoint;
  left: number;
}

/**
 * The misfortunes of one life that are not deeds: what dies where, and how often what went wrong. Lives take the crash points in turn, so that rare
 * ones get as many lives as those that are passed all the time.
 */
export class Faults {
  readonly #counts: Pick<Counts, 'faults' | 'crashes'>;
  #aims: Aim[];
  readonly #inclined: Deed | undefined;
  /** None is injected any more: what there is comes to its end. */
  over = false;

  constructor(seed: number, dice: Dice, counts: Pick<Counts, 'faults' | 'crashes'>) {
    this.#counts = counts;
    const inTurn = crashPoints[seed % crashPoints.length];
    const points = inTurn && dice.chance(0.85) ? [inTurn] : [];
    if (dice.chance(0.3)) points.push(dice.pick(crashPoints as readonly [CrashPoint, ...CrashPoint[]]));
    // What is rare enough is not let pass.
    this.#aims = points.map(point => {
      const left = dice.pick([0, 0, 0, 1, 3]);
      return { point, left: needFor(point) || isOfFailure(point) ? 0 : left };
    });
    this.#inclined = dice.chance(0.3) ? 'parted at orders' : undefined;
  }

  get needsFailures(): boolean {
    return this.#aims.some(({ point }) => isOfFailure(point));
  }

  /** A deed that helps one of the points that are looked for to come about. */
  get favoured(): Deed | undefined {
    for (const { point } of this.#aims) {
      const deed = needFor(point);
      if (deed) return deed;
    }
    return this.#inclined;
  }

  /** A moment at which somebody dies has been looked for and has not come yet. */
  get aiming(): boolean {
    return this.#aims.length > 0;
  }

  /** Asked at every crash point: true when who stands there dies. */
  strikes(point: CrashPoint): boolean {
    if (this.over) return false;
    const aim = this.#aims.find(each => each.point === point);
    if (!aim || aim.left-- > 0) return false;
    this.#aims = this.#aims.filter(other => other !== aim);
    this.died(point);
    return true;
  }

  /** Somebody has died at a point. */
  died(point: CrashPoint): void {
    count(this.#counts.crashes, point);
    this.happened(`${point.slice(0, point.indexOf(' '))} dies at a crash point`);
  }

  happened(kind: string): void {
    count(this.#counts.faults, kind);
  }
}

/** All does what it should. */
export const noTroubles: Troubles = {
  startFails: 0,
  reserveFails: 0,
  ignoresShutdown: 0,
  contextFails: 0,
  stalls: 0,
  hangs: 0,
  noSpace: 0,
  powersOff: 0,
};

/** Guests, images, VMMs and node disks that do not do what they should, of four lives in ten; and of those that look for a failure to die at. */
export function troublesOf(dice: Dice, faults: Faults): Troubles {
  if (dice.chance(0.6) && !faults.needsFailures) return noTroubles;
  return {
    startFails: 0.05,
    reserveFails: faults.needsFailures ? 0.2 : 0.05,
    ignoresShutdown: 0.3,
    contextFails: 0.1,
    stalls: 0.03,
    hangs: 0.1,
    noSpace: 0.05,
    powersOff: 0.15,
  };
}

/** The clock of one machine: it goes as fast as all, but may be set to another time. */
export interface SetClock extends Clock {
  /** Ahead of the true time by so much; behind it when negative. */
  aheadMs: number;
}

/** A clock that is `aheadMs` ahead of the true one. Delays and the monotonic clock are the same on all machines. */
export function setClock(truth: Clock, aheadMs: number): SetClock {
  const clock: SetClock = { ...truth, aheadMs, now: () => truth.now() + clock.aheadMs };
  return clock;
}

/** In half of all lives the nodes' clocks are not right. */
export function clocksAhead(
  nodes: readonly SimNode[],
  dice: Dice,
  faults: Faults,
): ReadonlyMap<string, number> {
  if (dice.chance(0.5)) return new Map();
  faults.happened('clocks of nodes are wrong');
  return new Map(nodes.map(({ name }) => [name, dice.int(-120_000, 120_000)]));
}

/** The disk under the service's state: it may be slow, or full, for a while. */
export class Disk {
  readonly #clock: Clock;
  readonly #dice: Dice;
  readonly #faults: Faults;
  #slowUntil = 0;
  #fullUntil = 0;

  constructor(clock: Clock, dice: Dice, faults: Faults) {
    this.#clock = clock;
    this.#dice = dice;
    this.#faults = faults;
  }

  /** When it last was as it should be again, or will be: milliseconds since the epoch. */
  get troubledUntil(): number {
    return Math.max(this.#slowUntil, this.#fullUntil);
  }

  slow(forMs: number): void {
    this.#slowUntil = Math.max(this.#slowUntil, this.#clock.now() + forMs);
  }

  fill(forMs: number): void {
    this.#fullUntil = Math.max(this.#fullUntil, this.#clock.now() + forMs);
  }

  /** The same store on this disk, written to by a process: what it had not written when it died is not written. */
  under(store: Store, alive: () => boolean, written: (commit: Commit) => void): Store {
    return {
      load: () => store.load(),
      commit: async commit => {
        await this.#commit(store, commit, alive);
        written(commit);
      },
      events: query => store.events(query),
      workspaces: query => store.workspaces(query),
      slots: ids => store.slots(ids),
      pastUse: (...period) => store.pastUse(...period),
      lastEvent: () => store.lastEvent(),
      loadAccess: () => store.loadAccess(),
      putAccess: rows => store.putAccess(rows),
      appendAudit: entries => store.appendAudit(entries),
      audit: query => store.audit(query),
      close: () => store.close(),
    };
  }

  async #commit(store: Store, commit: Commit, alive: () => boolean): Promise<void> {
    if (this.#clock.now() < this.#slowUntil) {
      this.#faults.happened('slow write of the service');
      await pause(this.#clock, this.#dice.int(50, 3_000));
    }
    if (this.#clock.now() < this.#fullUntil) {
      this.#faults.happened('disk of the service full');
      throw new Error('SQLITE_FULL: database or disk is full');
    }
    return alive() ? store.commit(commit) : new Promise(() => undefined);
  }
}
