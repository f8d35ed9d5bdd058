import { readdirSync, readFileSync } from 'node:fs';
import { type Clock, pause } from '../../platform/clock.ts';

/** One process for ever: pids are used again, start times with them are not. */
export interface StartedProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** Its start time in clock ticks (proc(5), stat field 22); undefined when gone or a zombie. */
export function startTimeOf(pid: number): string | undefined {
  const fields = textOf(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** The user of a process; undefined when it is gone, or its four ids differ (a setuid program). */
export function ownerOf(pid: number): number | undefined {
  const ids = /^Uid:\s+(.*)$/m.exec(textOf(pid, 'status'))?.[1];
  const [first, ...others] = ids?.split(/\s+/).map(Number) ?? [];
  return others.every(id => id === first) ? first : undefined;
}

/** Whether a process is still the one that was started then. */
export function isAlive({ pid, startTime }: StartedProcess): boolean {
  return startTimeOf(pid) === startTime;
}

/** The process's argument vector; empty when it is gone. */
export function argumentsOf(pid: number): readonly string[] {
  return textOf(pid, 'cmdline').split('\0').slice(0, -1);
}

/** The process's environment as it was at its start, `NAME=value` each; empty when it is gone. */
export function environmentOf(pid: number): readonly string[] {
  return textOf(pid, 'environ').split('\0').slice(0, -1);
}

/** What proc(5) tells of a process; empty when it is gone, or is not ours to look at. */
function textOf(pid: number, file: 'stat' | 'status' | 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** Processes, of whichever user, that have `argument` in their argument vectors. */
export function pidsWith(argument: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => argumentsOf(pid).includes(argument));
}

/** Sends a signal to that very process and waits until it is gone; false when it is still there after `deadlineMs`. */
export async function endProcess(
  clock: Clock,
  running: StartedProcess,
  signal: NodeJS.Signals,
  deadlineMs: number,
): Promise<boolean> {
  if (!isAlive(running)) return true;
  try {
    process.kill(running.pid, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
  const endMs = clock.monotonicMs() + deadlineMs;
  // The kernel tells the end of a process only to its parent, which we are not.
  while (isAlive(running)) {
    if (clock.monotonicMs() > endMs) return false;
    await pause(clock, 5);
  }
  return true;
}
