import type { LrmEffect } from '../../lease/decision.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';

/**
 * Runs the effects that decisions have emitted and that are not for pilots (`pilots/commands.ts` has those).
 *
 *   pending (durable) ─► waiting for its turn ─► running ─┬─► done: gone from here, and from the store with the next commit
 *                                 ▲                       │
 *                                 └── backoff ◄── failed ─┘
 *
 * Invariants: only committed effects run; a key runs at most once at a time; at most `atOnce`
 * effects run together, first come first served. If we crash here: what was not done is pending in
 * the store still and runs again with `again` set; every effect bears that. An effect is tried
 * until it works or finds that nobody wants it any more; the time between two tries is bounded.
 */
export interface OutboxParts {
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Does the effect, and resolves when it need never be done again. `again`: it may have been done
   * already, by an earlier try or an earlier life of the service. Rejects to be called again later.
   */
  readonly perform: (effect: LrmEffect, again: boolean) => Promise<void>;
  /** An effect need not be done. */
  readonly done: (key: string) => void;
}

interface Pending {
  readonly effect: LrmEffect;
  again: boolean;
  nextPauseMs: number;
}

const atOnce = 4;
const firstPauseMs = 250;
const longestPauseMs = 30_000;

/** Runs what is pending; see above. */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #pending = new Map<string, Pending>();
  readonly #timers = new Set<StopTimer>();
  readonly #turns: Pending[] = [];
  #running = 0;
  #stopped = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** `again`: from an earlier life of the service. A key that is here already is left alone. */
  add(effect: LrmEffect, again: boolean): void {
    if (this.#pending.has(effect.key)) return;
    if (this.#isCovered(effect)) return this.#parts.done(effect.key);
    const pending = { effect, again, nextPauseMs: firstPauseMs };
    this.#pending.set(effect.key, pending);
    this.#turns.push(pending);
    this.#next();
  }

  /**
   * Another one that is still pending does the same. Cancelling is emitted anew every minute
   * (lease/slot.ts): while an LRM is down for hours they must not pile up, each with its own tries,
   * to be let loose on it when it is back.
   */
  #isCovered(effect: LrmEffect): boolean {
    if (effect.kind !== 'lrm.cancel') return false;
    for (const { effect: pending } of this.#pending.values())
      if (pending.kind === 'lrm.cancel' && pending.slotId === effect.slotId && pending.jobId === effect.jobId)
        return true;
    return false;
  }

  /**
   * Begins nothing more. What runs is left alone: if its answer comes too late to be stored, it is
   * as after a crash.
   */
  stop(): void {
    this.#stopped = true;
    for (const stopTimer of this.#timers) stopTimer();
  }

  #next(): void {
    while (this.#running < atOnce && !this.#stopped) {
      const pending = this.#turns.shift();
      if (!pending) return;
      this.#running += 1;
      void this.#try(pending).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #try(pending: Pending): Promise<void> {
    const { effect, again } = pending;
    pending.again = true;
    try {
      await this.#parts.perform(effect, again);
      this.#pending.delete(effect.key);
    } catch (cause) {
      this.#later(pending, cause);
    }
  }

  #later(pending: Pending, cause: unknown): void {
    if (this.#stopped) return;
    const { clock, log } = this.#parts;
    const pauseMs = pending.nextPauseMs;
    pending.nextPauseMs = Math.min(pauseMs * 2, longestPauseMs);
    log.warn('an effect failed and will be tried again', {
      effect: pending.effect.key,
      pauseMs,
      ...errorFields(cause),
    });
    const stopTimer = clock.after(pauseMs, () => {
      this.#timers.delete(stopTimer);
      this.#turns.push(pending);
      this.#next();
    });
    this.#timers.add(stopTimer);
  }
}
