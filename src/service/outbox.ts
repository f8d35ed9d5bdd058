import type { Effect } from '../lease/types.ts';
import type { Clock, StopTimer } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';

/**
 * Runs the effects that decisions owe and that are not for pilots (`pilots/commands.ts` has those).
 *
 *   owed (durable) ─► waiting for its turn ─► running ─┬─► done: gone from here, and from the store with the next commit
 *                              ▲                       │
 *                              └── backoff ◄── failed ─┘
 *
 * Invariants: only committed effects run; a key runs at most once at a time; at most `atOnce` effects run together, first come first served.
 * If we crash here: what was not done is owed in the store still and runs again with `again` set; every effect bears that.
 * An effect is tried until it works or finds that nobody wants it any more; the time between two tries is bounded.
 */
export interface OutboxParts {
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Does the effect, and resolves when it need never be done again. `again`: it may have been done already, by an earlier try or an earlier life
   * of the service. Rejects to be called again later.
   */
  readonly perform: (effect: Effect, again: boolean) => Promise<void>;
  /** An effect need not be done. */
  readonly done: (key: string) => void;
}

interface Owed {
  readonly effect: Effect;
  again: boolean;
  nextPauseMs: number;
}

const atOnce = 4;
const firstPauseMs = 250;
const longestPauseMs = 30_000;

/** Runs what is owed; see above. */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #owed = new Map<string, Owed>();
  readonly #timers = new Set<StopTimer>();
  readonly #turns: Owed[] = [];
  #running = 0;
  #stopped = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** `again`: from an earlier life of the service. A key that is here already is left alone. */
  add(effect: Effect, again: boolean): void {
    if (this.#owed.has(effect.key)) return;
    if (this.#isCovered(effect)) return this.#parts.done(effect.key);
    const owed = { effect, again, nextPauseMs: firstPauseMs };
    this.#owed.set(effect.key, owed);
    this.#turns.push(owed);
    this.#next();
  }

  /**
   * Another one that is still owed does the same. Cancelling is owed anew every minute (lease/slot.ts): while an LRM is down for hours they must not pile up, each
   * with its own tries, to be let loose on it when it is back.
   */
  #isCovered(effect: Effect): boolean {
    if (effect.kind !== 'lrm.cancel') return false;
    for (const { effect: owed } of this.#owed.values())
      if (owed.kind === 'lrm.cancel' && owed.slotId === effect.slotId && owed.jobId === effect.jobId)
        return true;
    return false;
  }

  /** Begins nothing more. What runs is left alone: if its answer comes too late to be stored, it is as after a crash. */
  stop(): void {
    this.#stopped = true;
    for (const stopTimer of this.#timers) stopTimer();
  }

  #next(): void {
    while (this.#running < atOnce && !this.#stopped) {
      const owed = this.#turns.shift();
      if (!owed) return;
      this.#running += 1;
      void this.#try(owed).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #try(owed: Owed): Promise<void> {
    const { effect, again } = owed;
    owed.again = true;
    try {
      await this.#parts.perform(effect, again);
      this.#owed.delete(effect.key);
    } catch (cause) {
      this.#later(owed, cause);
    }
  }

  #later(owed: Owed, cause: unknown): void {
    if (this.#stopped) return;
    const { clock, log } = this.#parts;
    const pauseMs = owed.nextPauseMs;
    owed.nextPauseMs = Math.min(pauseMs * 2, longestPauseMs);
    log.warn('an effect failed and will be tried again', {
      effect: owed.effect.key,
      pauseMs,
      ...errorFields(cause),
    });
    const stopTimer = clock.after(pauseMs, () => {
      this.#timers.delete(stopTimer);
      this.#turns.push(owed);
      this.#next();
    });
    this.#timers.add(stopTimer);
  }
}
