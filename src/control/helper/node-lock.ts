import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { startChild } from '../../platform/children.ts';
import { statIfThere } from '../../platform/stat.ts';
import { ControlError } from '../control.ts';
import type { HelperDirectory } from './journal.ts';
import { formatDuration } from '../../protocol/units.ts';
import { endProcess, startTimeOf } from './proc.ts';

/** How long to wait for the others: each holds the lock for the few programs of one change. */
const lockDeadlineSeconds = 20;
const killDeadlineMs = 5_000;
/** How often the lock's file may be removed from under us by whoever left the node empty. */
const mostAttempts = 100;

/**
 * One change at a time on a node, among the helpers of several slots and kill-all.
 *
 * The lock is flock(2) on `<node>/lock`. Node has no flock, but flock(1) locks the open file description that it inherits from us, and that
 * lock stays ours when it ends. So waiting is the kernel's, and whoever dies, however, holds nothing any more: no lock can be stale.
 * Whoever leaves a node with neither slot nor bridge takes the directory with it, the lock's file
 * and an empty state directory too; who waited for that one tries again.
 */
export async function withNodeLock<T>(at: HelperDirectory, work: () => T | Promise<T>): Promise<T> {
  const file = await acquire(at.node);
  try {
    return await work();
  } finally {
    removeIfEmpty(at);
    closeSync(file);
  }
}

/**
 * Ends whoever holds the node's lock for longer than one change takes: a helper that somebody has
 * stopped, say. Its successor, or whoever reads its journal next, goes on from what stands there.
 */
export async function endStuckHolder(at: HelperDirectory, clock: Clock): Promise<void> {
  const path = join(at.node, 'lock');
  try {
    await withNodeLock(at, () => undefined);
  } catch (cause) {
    const pid = statIfThere(path) ? Number(readFileSync(path, 'utf8')) : Number.NaN;
    const startTime = startTimeOf(pid);
    if (startTime === undefined || !hasOpen(pid, path)) throw cause;
    await endProcess(clock, { pid, startTime }, 'SIGKILL', killDeadlineMs);
  }
}

/** Whether the process has that very file open: its pid may be another's by now. */
function hasOpen(pid: number, path: string): boolean {
  const directory = `/proc/${pid}/fd`;
  const ino = statIfThere(path)?.ino;
  try {
    return readdirSync(directory).some(fd => statIfThere(join(directory, fd))?.ino === ino);
  } catch {
    return false;
  }
}

async function acquire(nodeDirectory: string): Promise<number> {
  const path = join(nodeDirectory, 'lock');
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    const file = open(nodeDirectory, path);
    if (file === undefined) continue;
    try {
      if (!(await lockFile(file, lockDeadlineSeconds))) throw locked(path);
    } catch (cause) {
      closeSync(file);
      throw cause;
    }
    if (isStillThere(file, path)) {
      ftruncateSync(file);
      writeSync(file, String(process.pid), 0);
      return file;
    }
    closeSync(file);
  }
  throw locked(path);
}

/** Locks an open file for as long as we have it open (flock(2)); false when it stays another's. */
export async function lockFile(file: number, waitSeconds: number): Promise<boolean> {
  const child = await startChild(['flock', '--exclusive', '--timeout', String(waitSeconds), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
  });
  return (await child.exited).code === 0;
}

/** Undefined when the directory was removed meanwhile. */
function open(nodeDirectory: string, path: string): number | undefined {
  try {
    mkdirSync(nodeDirectory, { recursive: true, mode: 0o711 });
    return openSync(path, 'a', 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

function isStillThere(file: number, path: string): boolean {
  const there = statIfThere(path);
  return there !== undefined && there.ino === fstatSync(file).ino;
}

function locked(path: string): ControlError {
  let holder = '?';
  try {
    holder = readFileSync(path, 'utf8');
  } catch {
    // Only for the message.
  }
  return new ControlError(
    'node_locked',
    `the node's lock ${path} is held by process ${holder} for more than ${formatDuration(lockDeadlineSeconds * 1_000)}`,
  );
}

function removeIfEmpty(at: HelperDirectory): void {
  try {
    for (const directory of [at.slots, at.bridges]) {
      if (statIfThere(directory)) rmdirSync(directory);
    }
    rmSync(join(at.node, 'lock'), { force: true });
    rmdirSync(at.node);
    // The state directory too, as far as it is a helper's: nothing of a lease stays under /run.
    const stateDir = dirname(at.node);
    if (statIfThere(stateDir)?.uid === process.getuid?.()) rmdirSync(stateDir);
  } catch {
    // Not empty: it is still needed.
  }
}
