import { type Clock, pause } from '../../platform/clock.ts';
import { Shares } from '../access/shares.ts';

/** After each turn, so many times as long as it took is everybody else's. */
const restFactor = 9;
/** A turn that took longer than its reading did so because others were busy. */
const longestRestMs = 100;
/** Who may stand in line at the same time. */
const standing = { all: 1_024, each: 128 };

/**
 * What each user asks of the store, one after the other and with a rest after each: whoever reads
 * long histories, with however many connections, has a tenth of the service's time at most.
 */
export class Turns {
  readonly #clock: Clock;
  /** The end of each user's last turn and its rest. */
  readonly #last = new Map<string, Promise<void>>();
  readonly #inLine = new Shares('requests wait to read the history', standing);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves as the task does, in its turn. Throws `WspError` (`busy`) when too many stand in line. */
  async take<T>(user: string, task: () => Promise<T>): Promise<T> {
    const giveBack = this.#inLine.take(user);
    const before = this.#last.get(user);
    let [tookMs, isOver] = [0, (): void => undefined];
    const turn = new Promise<void>(resolve => {
      isOver = resolve;
    }).then(() => this.#rest(tookMs));
    this.#last.set(user, turn);
    try {
      await before;
      const startedMs = this.#clock.monotonicMs();
      return await task().finally(() => {
        tookMs = this.#clock.monotonicMs() - startedMs;
      });
    } finally {
      giveBack();
      isOver();
      void turn.then(() => {
        if (this.#last.get(user) === turn) this.#last.delete(user);
      });
    }
  }

  async #rest(tookMs: number): Promise<void> {
    if (tookMs > 0) await pause(this.#clock, Math.min(restFactor * tookMs, longestRestMs));
  }
}
