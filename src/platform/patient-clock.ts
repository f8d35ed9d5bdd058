import type { Clock, StopTimer } from './clock.ts';

/** A timer that fires so much later than it should was due while this process was stopped. */
const stoppedMs = 3_000;
/** What is given again to what was waited for, at most. */
const secondChanceMs = 30_000;

/**
 * A clock for a process that a scheduler may stop (SIGSTOP) and let run on much later. Deadlines
 * that passed meanwhile say nothing of whoever was waited for: the process itself could not look.
 * Such a timer is given its time again, so that what has arrived is read first.
 */
export function patientClock(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    after(delayMs, fire) {
      let stop: StopTimer = () => undefined;
      const arm = (forMs: number): void => {
        const dueMs = clock.monotonicMs() + Math.max(0, forMs);
        stop = clock.after(forMs, () => {
          if (clock.monotonicMs() - dueMs < stoppedMs) fire();
          else arm(Math.min(delayMs, secondChanceMs));
        });
      };
      arm(delayMs);
      return () => stop();
    },
  };
}
