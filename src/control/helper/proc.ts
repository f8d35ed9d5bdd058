import { readdirSync, readFileSync } from 'node:fs';
import { type Clock, pause } from '../../platform/clock.ts';

/** The process's start time in clock ticks (proc(5), stat field 22): with the pid, it names one process for ever. Undefined when it is gone or a zombie. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/**
 * The user that a process is, by every one of its four ids (proc(5), status); undefined when it is
 * gone, or when its ids differ: then it runs a setuid program, and is not its user's alone.
 */
export function ownerOf(pid: number): number | undefined {
  try {
    const [, ids = ''] = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    const [first, ...others] = ids.split(/\s+/).map(Number);
    return others.every(id => id === first) ? first : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a process is still the one that was started then. */
export function isAlive({ pid, startTime }: { readonly pid: number; readonly startTime: string }): boolean {
  return startTimeOf(pid) === startTime;
}

/** The process's argument vector; empty when it is gone. */
export function argumentsOf(pid: number): readonly string[] {
  return textsIn(pid, 'cmdline');
}

/** The process's environment as it was at its start, `NAME=value` each; empty when it is gone. */
export function environmentOf(pid: number): readonly string[] {
  return textsIn(pid, 'environ');
}

function textsIn(pid: number, file: 'cmdline' | 'environ'): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** Processes, of whichever user, that have `argument` in their argument vectors. */
export function pidsWith(argument: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => argumentsOf(pid).includes(argument));
}

/** SIGKILLs that very process and waits until it is gone; false when it is still there after `deadlineMs`. */
export function killProcess(
  clock: Clock,
  pid: number,
  startTime: string,
  deadlineMs: number,
): Promise<boolean> {
  return endProcess(clock, { pid, startTime }, 'SIGKILL', deadlineMs);
}

/** Sends a signal to that very process and waits until it is gone; false when it is still there after `deadlineMs`. */
export async function endProcess(
  clock: Clock,
  { pid, startTime }: { readonly pid: number; readonly startTime: string },
  signal: NodeJS.Signals,
  deadlineMs: number,
): Promise<boolean> {
  if (startTimeOf(pid) !== startTime) return true;
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
  const endMs = clock.monotonicMs() + deadlineMs;
  // The kernel tells the end of a process only to its parent, which we are not.
  while (startTimeOf(pid) === startTime) {
    if (clock.monotonicMs() > endMs) return false;
    await pause(clock, 5);
  }
  return true;
}
