import { type Clock, nextTurn } from './clock.ts';

/** A clock that stands still until it is told to move: for tests and for the simulated world. */
export interface VirtualClock extends Clock {
  /** When the next timer is due, in milliseconds since the epoch; undefined when none is set. */
  nextAt(): number | undefined;
  /** Moves to the next timer and fires it; false when there is none. Timers due at the same moment fire in the order in which they were set. */
  runNext(): boolean;
  /** Fires all that is due until `atMs`, letting promises settle before the first timer and after each; the clock ends at `atMs`. */
  advanceTo(atMs: number): Promise<void>;
  /** As `advanceTo`, so many milliseconds from now. */
  advanceBy(ms: number): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A virtual clock that stands at `startMs`, milliseconds since the epoch. */
export function createVirtualClock(startMs: number): VirtualClock {
  let now = startMs;
  let order = 0;
  /** Sorted, the next one last. */
  const timers: Timer[] = [];

  const insert = (timer: Timer): void => {
    let low = 0;
    let high = timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isLater(timers[middle], timer)) low = middle + 1;
      else high = middle;
    }
    timers.splice(low, 0, timer);
  };

  const clock: VirtualClock = {
    now: () => now,
    monotonicMs: () => now - startMs,
    after(delayMs, fire) {
      const timer = { at: now + Math.max(0, delayMs), order: order++, fire };
      insert(timer);
      return () => {
        const index = timers.indexOf(timer);
        if (index >= 0) timers.splice(index, 1);
      };
    },
    nextAt: () => timers.at(-1)?.at,
    runNext() {
      const timer = timers.pop();
      if (!timer) return false;
      now = timer.at;
      timer.fire();
      return true;
    },
    async advanceTo(atMs) {
      await settle();
      for (let next = clock.nextAt(); next !== undefined && next <= atMs; next = clock.nextAt()) {
        clock.runNext();
        await settle();
      }
      now = Math.max(now, atMs);
    },
    advanceBy: ms => clock.advanceTo(now + ms),
  };
  return clock;
}

/** Resolves when every promise reaction that can run now has run: they all come before the next turn of the event loop. */
export const settle = nextTurn;

function isLater(one: Timer | undefined, other: Timer): boolean {
  return one !== undefined && (one.at - other.at || one.order - other.order) > 0;
}
