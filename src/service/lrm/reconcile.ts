import { isFinalJob } from '../../lease/lrm.ts';
import { isFinalSlot } from '../../lease/transitions.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { ObservedJob, SiteState } from '../../lease/model.ts';
import { type Lrm, LrmError, type LrmJob } from '../../lrm/lrm.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { slotIdOfJobName } from '../../protocol/ids.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * Compares the LRM's jobs with our slots: one query for all of them, never two at a time.
 *
 *   idle ─ signal, or the pause is over ─► list ─► lrm.observed (durable) ─► pause ─► …
 *                                            └─ failed: the state stays, the pause doubles
 *
 * Signals: the LRM itself, an effect, a pilot that has gone. After a signal, or when a slot begins
 * to be given back, it looks again soon, then ever more rarely, up to what the slots' states call
 * for. Nothing is kept here that a crash could lose: the first round after a start sees all.
 *
 * A list without any job, where jobs that nobody has told to end should be, is an outage until it
 * has been said for a minute: a scheduler that is dying or has just
 * been restarted may say that it has none, and believing that would end every lease.
 */
export interface LrmReconcilerParts {
  readonly clock: Clock;
  readonly log: Log;
  /** The pool that the LRM is of. */
  readonly pool: string;
  readonly lrm: Lrm;
  readonly state: () => SiteState;
  /** The pools of slots, of retired ones too; those that there are. */
  readonly poolsOf: (slotIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  readonly submit: (input: LeaseInput) => Promise<unknown>;
}

/**
 * `leaving`: somebody may wait for nodes to be given back. `waiting`: in the queue or starting, or
 * a pilot is not heard. `quiet`: held. `none`: no slot has a job.
 */
type Urgency = 'leaving' | 'waiting' | 'quiet' | 'none';

const shortestPauseMs = 100;
const longestPauseMs: Readonly<Record<Urgency, number>> = {
  leaving: 1_000,
  waiting: 1_000,
  quiet: 15_000,
  none: Number.POSITIVE_INFINITY,
};
const longestFailurePauseMs = 30_000;
const emptyBelievedAfterMs = 60_000;

/** Asks the LRM for its list, and feeds the core; see above. */
export class LrmReconciler {
  readonly #parts: LrmReconcilerParts;
  #stopListening: () => void = () => undefined;
  #stopTimer: StopTimer = () => undefined;
  #round: Promise<void> | undefined;
  #signalled = false;
  #urgency: Urgency = 'none';
  #pauseMs = shortestPauseMs;
  #lastEndedAt = Number.NEGATIVE_INFINITY;
  #failing = false;
  /** Since when the LRM has said that there are no jobs where there should be some. */
  #emptySince: number | undefined;
  #stopped = true;

  constructor(parts: LrmReconcilerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#stopped = false;
    this.#stopListening = this.#parts.lrm.onChange(() => this.signal());
    this.#urgency = urgencyOf(this.#parts);
    this.signal();
  }

  /** Asks no more. An answer that is under way is not recorded: the next start asks again. */
  stop(): void {
    this.#stopped = true;
    this.#stopListening();
    this.#stopTimer();
  }

  /**
   * Something should have changed: look soon. During a round: once more after it. While the LRM
   * fails, its pause holds.
   */
  signal(): void {
    if (this.#stopped || this.#failing) return;
    this.#pauseMs = shortestPauseMs;
    if (this.#round) this.#signalled = true;
    else this.#arm(Math.max(0, this.#lastEndedAt + shortestPauseMs - this.#parts.clock.monotonicMs()));
  }

  /** Slots have changed: the pause follows what they call for. */
  slotsChanged(): void {
    const urgency = urgencyOf(this.#parts);
    if (urgency === this.#urgency) return;
    this.#urgency = urgency;
    if (this.#stopped || this.#failing || this.#round) return;
    // What begins to wait has just been submitted: there is nothing to see yet. What begins to
    // leave may be gone very soon.
    this.#pauseMs = urgency === 'leaving' ? shortestPauseMs : longestPauseMs[urgency];
    this.#arm(this.#pauseMs);
  }

  #arm(delayMs: number): void {
    this.#stopTimer();
    if (this.#stopped || delayMs === Number.POSITIVE_INFINITY) return;
    this.#stopTimer = this.#parts.clock.after(delayMs, () => {
      this.#round ??= this.#look().finally(() => {
        this.#round = undefined;
        this.#lastEndedAt = this.#parts.clock.monotonicMs();
        this.#arm(this.#nextPause());
      });
    });
  }

  #nextPause(): number {
    if (this.#failing) {
      this.#pauseMs = Math.min(this.#pauseMs * 2, longestFailurePauseMs);
      // An empty list is asked for again when it would be believed, not up to a pause later.
      const believedAtMs = (this.#emptySince ?? Number.NEGATIVE_INFINITY) + emptyBelievedAfterMs;
      const leftMs = believedAtMs - this.#parts.clock.monotonicMs();
      return leftMs > 0 ? Math.min(this.#pauseMs, leftMs) : this.#pauseMs;
    }
    const longest = longestPauseMs[this.#urgency];
    if (this.#signalled) {
      this.#signalled = false;
      return shortestPauseMs;
    }
    if (longest === Number.POSITIVE_INFINITY) return longest;
    const pauseMs = Math.min(this.#pauseMs, longest);
    this.#pauseMs = Math.min(pauseMs * 2, longest);
    return pauseMs;
  }

  /** Throws `LrmError` (`unavailable`) when an empty list is not to be believed yet. */
  #checkNotEmpty(jobs: readonly LrmJob[], takenAt: number): void {
    const expected = jobs.length > 0 ? 0 : expectedJobs(this.#parts, takenAt);
    if (expected === 0) {
      this.#emptySince = undefined;
      return;
    }
    const now = this.#parts.clock.monotonicMs();
    this.#emptySince ??= now;
    if (now - this.#emptySince >= emptyBelievedAfterMs) return;
    throw new LrmError(
      'unavailable',
      `its list of jobs is empty, although ${expected} of the service's jobs should be in it`,
    );
  }

  /**
   * Whoever waits is told what is the matter. What cannot be recorded is said again by the next
   * round.
   */
  async #tellUnanswered(cause: unknown): Promise<void> {
    const { log, pool, submit } = this.#parts;
    const message = messageOf(cause);
    await submit({ type: 'lrm.unanswered', pool, message }).catch((failure: unknown) =>
      log.warn('that the LRM does not answer could not be recorded', errorFields(failure)),
    );
  }

  async #look(): Promise<void> {
    const { clock, log, pool, lrm, state, poolsOf, submit } = this.#parts;
    const takenAt = clock.now();
    let jobs: readonly LrmJob[];
    try {
      jobs = await lrm.list();
      if (!lrm.embedded) this.#checkNotEmpty(jobs, takenAt);
    } catch (cause) {
      const fields = { pool, lrm: lrm.kind, ...errorFields(cause) };
      if (!this.#failing) log.error('the LRM does not answer; everything stays as it is', fields);
      this.#failing = true;
      if (!this.#stopped) await this.#tellUnanswered(cause);
      return;
    }
    if (this.#failing) log.info('the LRM answers again', { pool, lrm: lrm.kind });
    this.#failing = false;
    if (this.#stopped) return;
    try {
      const pools = await poolsOf(slotsIn(jobs, state()));
      await submit({ type: 'lrm.observed', pool, takenAt, jobs: observed(jobs, pool, takenAt, pools) });
    } catch (cause) {
      log.warn('what the LRM says could not be recorded; the next round says it again', errorFields(cause));
    }
  }
}

/** The slots of jobs that matter: a job that is over is of no matter to a slot that is retired. */
function slotsIn(jobs: readonly LrmJob[], { slots }: SiteState): readonly string[] {
  return jobs.flatMap(job => {
    const slotId = slotIdOfJobName(job.jobName);
    return slotId !== undefined && (slots.has(slotId) || !isFinalJob(job)) ? slotId : [];
  });
}

/**
 * Our jobs, in the core's words. A job of a slot that we have never known is not ours: a slot is
 * durable before it is submitted, so it belongs to another service of the same user. One of another
 * pool's slot is that pool's business: two pools may be two queues of one LRM.
 */
function observed(
  jobs: readonly LrmJob[],
  pool: string,
  takenAt: number,
  pools: ReadonlyMap<string, string>,
): readonly ObservedJob[] {
  return jobs.flatMap(job => {
    const {
      jobId,
      jobName,
      state,
      nodes,
      reason = null,
      outlook = null,
      endsAt = null,
      draining = null,
    } = job;
    const slotId = slotIdOfJobName(jobName);
    if (slotId === undefined || pools.get(slotId) !== pool) return [];
    // One that has passed is no estimate any more; schedulers tell it on until they make another.
    const { estimatedStartAt: estimate = takenAt } = job;
    const estimatedStartAt = estimate > takenAt ? estimate : null;
    return { jobId, slotId, state, reason, outlook, estimatedStartAt, endsAt, nodes, draining };
  });
}

/**
 * How many jobs a list of that time should have: of slots that had one, which nobody has told to
 * end.
 */
function expectedJobs({ pool, state }: Pick<LrmReconcilerParts, 'pool' | 'state'>, takenAt: number): number {
  const held = [...state().slots.values()].filter(
    slot =>
      slot.pool === pool &&
      slot.lrmJobId !== null &&
      (slot.submittedAt ?? takenAt) < takenAt &&
      (slot.state === 'queued' || slot.state === 'reserving' || slot.state === 'ready'),
  );
  return held.length;
}

function urgencyOf({ pool, state }: Pick<LrmReconcilerParts, 'pool' | 'state'>): Urgency {
  let urgency: Urgency = 'none';
  for (const slot of state().slots.values()) {
    if (slot.pool !== pool || isFinalSlot(slot.state) || slot.lrmJobId === null) continue;
    if (slot.state === 'releasing' || slot.state === 'preempting') return 'leaving';
    // A pilot that cannot be heard may be gone, and its job with it, as soon as the LRM has noticed.
    if (slot.state !== 'ready' || slot.nodes.some(({ silentSince }) => silentSince !== null))
      urgency = 'waiting';
    else if (urgency === 'none') urgency = 'quiet';
  }
  return urgency;
}
