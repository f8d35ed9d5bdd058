import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** How far a process that gives way goes down: a third of the processor time of one that does not (nice(2), sched(7)). */
const lowerNice = 5;

/**
 * Lets a process of ours, with all its threads, run after others from now on. It cannot be taken back: that would need privileges.
 *
 * By niceness, which counts among the processes of one session or cgroup; and, where the kernel shares processors out by session (sched(7), "The autogroup feature"),
 * by its session's, if it `ownsSession`. The kernel takes the latter from users without privileges only ten times a second and machine; it is done where it can be. A process that
 * is gone is no error.
 */
export function giveWay(pid: number, ownsSession: boolean): void {
  if (ownsSession) tried(() => writeFileSync(`/proc/${pid}/autogroup`, String(lowerNice)));
  tried(() => {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), lowerNice);
  });
}

function tried(act: () => void): void {
  try {
    act();
  } catch {
    // It is gone, or nicer already, or the kernel has no such file: whoever waits for it loses nothing but time.
  }
}
