import { expect, it } from 'vitest';
import type { Clock } from './clock.ts';
import { patientClock } from './patient-clock.ts';

/** A clock whose timers fire when the test says so. */
function handClock(): Clock & { nowMs: number; due: { atMs: number; fire: () => void }[]; run(): void } {
  return {
    nowMs: 0,
    due: [],
    now() {
      return this.nowMs;
    },
    monotonicMs() {
      return this.nowMs;
    },
    after(delayMs, fire) {
      const timer = { atMs: this.nowMs + delayMs, fire };
      this.due.push(timer);
      return () => {
        this.due = this.due.filter(other => other !== timer);
      };
    },
    run() {
      const now = this.due.filter(({ atMs }) => atMs <= this.nowMs);
      this.due = this.due.filter(({ atMs }) => atMs > this.nowMs);
      for (const { fire } of now) fire();
    },
  };
}

it('site S3: a deadline that passed while the process was stopped is given its time again', () => {
  const clock = handClock();
  let fired = 0;
  const stop = patientClock(clock).after(10_000, () => {
    fired += 1;
  });
  // Stopped for an hour, and awake again.
  clock.nowMs = 3_600_000;
  clock.run();
  expect(fired).toBe(0);
  clock.nowMs += 10_000;
  clock.run();
  expect(fired).toBe(1);
  stop();
  expect(clock.due).toEqual([]);
});

it('site S3: a deadline that is hours long is given half a minute again, and may be stopped', () => {
  const clock = handClock();
  const stop = patientClock(clock).after(7_200_000, () => undefined);
  clock.nowMs = 7_300_000;
  clock.run();
  expect(clock.due.map(({ atMs }) => atMs)).toEqual([7_330_000]);
  stop();
  expect(clock.due).toEqual([]);
});

it('fires when it is due', () => {
  const clock = handClock();
  let fired = 0;
  patientClock(clock).after(10, () => {
    fired += 1;
  });
  clock.nowMs = 2_000;
  clock.run();
  expect(fired).toBe(1);
});
