import type { Clock } from './clock.ts';

/** How much of something there may be a second in the long run, and how much at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A bucket that fills at a rate. More may be spent than is in it: who spends waits afterwards. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #rate: Rate;
  #left: number;
  #atMs: number;

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock;
    this.#rate = rate;
    this.#left = rate.burst;
    this.#atMs = clock.monotonicMs();
  }

  /** Takes so much. */
  spend(amount: number): void {
    this.#fill();
    this.#left -= amount;
  }

  /** The milliseconds until there is something in it; 0: there is. */
  waitMs(): number {
    this.#fill();
    return this.#left > 0 ? 0 : Math.floor((-this.#left / this.#rate.perSecond) * 1_000) + 1;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const { burst, perSecond } = this.#rate;
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) / 1_000) * perSecond);
    this.#atMs = nowMs;
  }
}
