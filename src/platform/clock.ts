import { formatDuration } from '../protocol/units.ts';

/** Time, as everything in this project sees it. Only this folder touches the real clock and real timers. */

/** Stops a timer that has not fired. Stopping twice, or after it fired, does nothing. */
export type StopTimer = () => void;

/** Time and timers, injected, so that a simulation has its own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds on a clock that never steps: for measuring and for deadlines. */
  monotonicMs(): number;
  /** Calls `fire` once, after `delayMs` (at least 0; long delays are split, so any length is right). */
  after(delayMs: number, fire: () => void): StopTimer;
}

/** Node's timers hold 31 bits of milliseconds; a longer delay would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fire) {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(Math.max(leftMs, 0), longestTimerMs);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : fire()), stepMs);
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  },
};

/** Thrown by `withDeadline` when the time is over. */
export class DeadlineError extends Error {
  readonly deadlineMs: number;
  constructor(what: string, deadlineMs: number) {
    super(`${what} did not happen within ${formatDuration(deadlineMs)}`);
    this.name = 'DeadlineError';
    this.deadlineMs = deadlineMs;
  }
}

/** The promise's own outcome, or a `DeadlineError` naming `what` after `deadlineMs`. The promise itself is not stopped. */
export function withDeadline<T>(
  clock: Clock,
  deadlineMs: number,
  what: string,
  promise: Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = clock.after(deadlineMs, () => reject(new DeadlineError(what, deadlineMs)));
    promise.then(resolve, reject).finally(stop);
  });
}

/** Resolves in the next turn of the event loop: after every promise reaction that can run now, and after all sockets that are readable have been read. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve);
  });
}

/** Resolves after `delayMs`. Only for backoff between bounded retries; waits for an event use the event. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise(resolve => {
    clock.after(delayMs, resolve);
  });
}
