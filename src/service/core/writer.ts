import {
  applyDecision,
  decide,
  emptyMaps,
  isEmpty,
  nextDeadlineAt,
  type SiteMaps,
} from '../../lease/decide.ts';
import { usedKey } from '../../lease/quota.ts';
import type { Decision, Outcome } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState } from '../../lease/model.ts';
import type { LeaseSettings } from '../../lease/settings.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { WspError } from '../../protocol/errors.ts';
import type { Commit, Store, StoredState } from '../store/store.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * The single writer: the only place where the state of the service changes.
 *
 *   submit(input) ─► queue ─► batch ─► decide, one after the other,   ─► one transaction ─► committed maps ─► waiters, listeners,
 *                    (bounded)         on the maps ahead                 (all or nothing)                     next deadline armed
 *                                           ▲                               │ failed
 *                                           └──── rolled back ◄─────────────┘ every waiter gets the error
 *
 * Two sets of maps: `ahead` has the decisions of the batch in hand, so that its second input sees
 * what the first has done; `committed` is what everybody else sees. Invariants: outside of a batch
 * both are equal; `committed` is never ahead of the store; a waiter is answered only when what it
 * is told is durable, also when its own decision is empty (it may rest on its neighbours'). If we
 * crash here: the batch is in the store whole, with its effects, or not at all; nobody has been
 * told anything yet.
 */
export interface WriterParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly settings: LeaseSettings;
  /** Secrets to store and delete in the transaction of a decision. */
  readonly companions: (input: LeaseInput, decision: Decision) => Pick<Commit, 'secrets' | 'forgotten'>;
  /** Called after each commit, before its waiters go on. */
  readonly committed: (commit: Commit) => void;
  /** A commit has failed: what `companions` gave for it is not there. */
  readonly rolledBack: () => void;
  /** The store fails again and again: the process must end. Called once. */
  readonly broken: (cause: unknown) => void;
  /** An id that no slot has had. */
  readonly newSlotId: () => string;
  /**
   * How a batch waits for company. In the real world the next turn of the event loop: all sockets
   * that are readable now have been read.
   */
  readonly gather: () => Promise<void>;
}

interface Waiting {
  readonly input: LeaseInput;
  /** Effects that this input answers: done, in the same transaction. */
  readonly done: readonly string[];
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (cause: unknown) => void;
}

/** More than this waiting: the service is overrun, and says so. */
const queueLimit = 10_000;
const batchLimit = 256;
/** A disk that is full may be emptied; after so many failed commits in a row we give up. */
const failuresUntilBroken = 5;
/** After a deadline at which nothing was to be done, and after a failed commit: not at once again. */
const deadlinePauseMs = 1_000;
/** Clocks that run a little apart are corrected by each commit; one that was set is not waited out. */
const greatestDriftMs = 500;

/** The one writer; see above. */
export class Writer {
  readonly #parts: WriterParts;
  readonly #ahead: SiteMaps = emptyMaps();
  readonly #committed: SiteMaps = emptyMaps();
  #settings: LeaseSettings;
  readonly #queue: Waiting[] = [];
  /**
   * Keys of effects that are done but still in the store; they go with the next commit. Losing one
   * only repeats what is harmless.
   */
  #done: string[] = [];
  #running: Promise<void> | undefined;
  #failures = 0;
  #stopped = false;
  #stopTimer: StopTimer = () => undefined;
  #armedAheadMs = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#settings = parts.settings;
  }

  /** The newest committed state. */
  get state(): SiteState {
    return { settings: this.#settings, ...this.#committed };
  }

  /** Begins with what the store had. */
  load({ workspaces, slots, vms, used }: Omit<StoredState, 'effects' | 'secrets'>): void {
    for (const maps of [this.#ahead, this.#committed]) {
      applyDecision(maps, { workspaces, slots, vms, events: [], effects: [], retired: [] });
      for (const each of used) maps.used.set(usedKey(each), each);
    }
    this.#armDeadline(0);
  }

  /** Settings are not stored: they come from the site file, the images' directory and the LRM. */
  changeSettings(change: Partial<LeaseSettings>): void {
    this.#settings = { ...this.#settings, ...change };
    // What the site can give decides whether a slot is to be asked for in advance.
    if (change.pools !== undefined) this.#armDeadline(0);
  }

  /**
   * Decides about an input; resolves with the outcome once it is durable. `done`: keys of effects that it answers.
   * Rejects with `WspError` (`busy`): queue full, stopping, or the store has failed (then nothing
   * of it has happened).
   */
  submit(input: LeaseInput, done: readonly string[] = []): Promise<Outcome> {
    if (this.#stopped) return Promise.reject(new WspError('busy', 'the service is stopping'));
    if (this.#queue.length >= queueLimit)
      return Promise.reject(new WspError('busy', `${queueLimit} requests wait already; try again later`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ input, done, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** An effect is done and nothing is to be decided about it. */
  effectDone(key: string): void {
    this.#done.push(key);
  }

  /** Finishes what is in the queue. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTimer();
    await this.#running;
    if (this.#done.length > 0) await this.#parts.store.commit(this.#newCommit()).catch(() => undefined);
  }

  async #run(): Promise<void> {
    await this.#parts.gather();
    while (this.#queue.length > 0) await this.#commitBatch(this.#queue.splice(0, batchLimit));
    // Nothing can have been queued since the loop looked: there is no await between.
    this.#running = undefined;
  }

  async #commitBatch(batch: readonly Waiting[]): Promise<void> {
    const commit = this.#newCommit();
    const answers = batch.map(waiting => this.#decide(waiting, commit));
    if (isWorthCommitting(commit)) {
      try {
        await this.#parts.store.commit(commit);
      } catch (cause) {
        this.#rollBack();
        this.#parts.rolledBack();
        this.#failed(cause, batch);
        return;
      }
      this.#stored(commit);
    } else {
      this.#done = commit.done;
      if (this.#clockWasSet()) this.#armDeadline(0);
    }
    for (const answer of answers) answer();
  }

  #stored(commit: Commit): void {
    this.#failures = 0;
    applyDecision(this.#committed, commit);
    const stored = new Set(commit.done);
    this.#done = this.#done.filter(key => !stored.has(key));
    try {
      this.#parts.committed(commit);
    } catch (cause) {
      this.#parts.log.error('a listener failed', errorFields(cause));
    }
    this.#armDeadline(0);
  }

  /**
   * Decides on the maps ahead and adds the decision to the commit. Returns what its waiter is told
   * once that is durable.
   */
  #decide({ input, done, resolve, reject }: Waiting, commit: GrowingCommit): () => void {
    const { clock, log, companions } = this.#parts;
    const now = clock.now();
    try {
      const outcome = decide({ settings: this.#settings, ...this.#ahead }, input, now);
      commit.done.push(...done);
      if (outcome.ok) {
        const { secrets, forgotten } = companions(input, outcome.decision);
        applyDecision(this.#ahead, outcome.decision);
        addTo(commit, outcome.decision, { secrets, forgotten });
      }
      if (input.type === 'clock' && outcome.ok && isEmpty(outcome.decision))
        this.#armDeadline(deadlinePauseMs);
      return () => resolve(outcome);
    } catch (cause) {
      // A bug in the core: this input is lost, the others are not.
      log.error('an input could not be decided', { input: input.type, ...errorFields(cause) });
      if (input.type === 'clock') this.#armDeadline(deadlinePauseMs);
      return () => reject(cause);
    }
  }

  #newCommit(): GrowingCommit {
    return {
      at: this.#parts.clock.now(),
      workspaces: [],
      slots: [],
      vms: [],
      events: [],
      effects: [],
      retired: [],
      done: [...this.#done],
      secrets: [],
      forgotten: [],
    };
  }

  /** Everything, not only what the batch has touched: it is rare, and simple is safe here. */
  #rollBack(): void {
    copy(this.#committed.workspaces, this.#ahead.workspaces);
    copy(this.#committed.slots, this.#ahead.slots);
    copy(this.#committed.vms, this.#ahead.vms);
    copy(this.#committed.used, this.#ahead.used);
  }

  #failed(cause: unknown, batch: readonly Waiting[]): void {
    const { log, broken } = this.#parts;
    this.#failures += 1;
    log.error('the state could not be stored', { failures: this.#failures, ...errorFields(cause) });
    const error = new WspError('busy', `the service could not store its state: ${messageOf(cause)}`, {
      hint: "look at the service's log, and at the space left for its state directory",
      cause,
    });
    for (const { reject } of batch) reject(error);
    this.#armDeadline(deadlinePauseMs);
    if (this.#failures !== failuresUntilBroken) return;
    log.error('the service stops: it must not decide what it cannot store', { failures: this.#failures });
    this.#stopped = true;
    this.#stopTimer();
    broken(cause);
  }

  /** The time that deadlines are told in has jumped since the timer was armed: whoever looks next notices. */
  #clockWasSet(): boolean {
    return Math.abs(this.#aheadOfMonotonic() - this.#armedAheadMs) > greatestDriftMs;
  }

  #aheadOfMonotonic(): number {
    const { clock } = this.#parts;
    return clock.now() - clock.monotonicMs();
  }

  /** One timer, for the next deadline of all; what is overdue comes after `overdueMs`. */
  #armDeadline(overdueMs: number): void {
    this.#stopTimer();
    this.#armedAheadMs = this.#aheadOfMonotonic();
    const at = this.#stopped ? null : nextDeadlineAt(this.state);
    if (at === null) return;
    const { clock, log } = this.#parts;
    // A timer may fire a moment before its time: then nothing is due yet, and the rest of the time is waited for.
    const leftMs = at - clock.now();
    this.#stopTimer = clock.after(leftMs > 0 ? leftMs : overdueMs, () => {
      this.submit({ type: 'clock', slotId: this.#parts.newSlotId() }).catch((cause: unknown) =>
        log.warn('a deadline has to wait', errorFields(cause)),
      );
    });
  }
}

type Growing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Member)[] ? Member[] : T[K] };
type GrowingCommit = Growing<Commit>;

function addTo(
  commit: GrowingCommit,
  decision: Decision,
  { secrets, forgotten }: Pick<Commit, 'secrets' | 'forgotten'>,
): void {
  // Several versions of one entity in a batch: the last wins, in the store as in the maps.
  commit.workspaces.push(...decision.workspaces);
  commit.slots.push(...decision.slots);
  commit.vms.push(...decision.vms);
  commit.events.push(...decision.events);
  commit.effects.push(...decision.effects);
  commit.retired.push(...decision.retired);
  commit.secrets.push(...secrets);
  commit.forgotten.push(...forgotten);
}

/** Effects that are done are no reason for a transaction of their own: they go with the next. */
function isWorthCommitting(commit: Commit): boolean {
  return !isEmpty(commit) || commit.secrets.length + commit.forgotten.length > 0;
}

function copy<T>(from: ReadonlyMap<string, T>, to: Map<string, T>): void {
  to.clear();
  for (const [key, value] of from) to.set(key, value);
}
