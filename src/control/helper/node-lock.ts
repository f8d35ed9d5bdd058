import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, pause } from '../../platform/clock.ts';
import { ControlError } from '../control.ts';
import { startTimeOf } from './proc.ts';

const lockDeadlineMs = 20_000;

/**
 * One change at a time on a node, among the helpers of several slots and kill-all. The lock is a file made by link(2), which is
 * atomic; it names its holder by pid and start time, so the lock of a holder that was killed is taken over.
 */
export async function withNodeLock<T>(
  clock: Clock,
  nodeDirectory: string,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(nodeDirectory, { recursive: true, mode: 0o700 });
  const path = join(nodeDirectory, 'lock');
  const mine = `${path}.${process.pid}`;
  const holder = `${process.pid} ${startTimeOf(process.pid) ?? ''}`;
  writeFileSync(mine, holder, { mode: 0o600 });
  const endMs = clock.monotonicMs() + lockDeadlineMs;
  try {
    while (!tryLink(mine, path)) {
      if (clock.monotonicMs() > endMs) {
        throw new ControlError(
          'node_locked',
          `the node's lock ${path} is held by process ${heldBy(path) ?? '?'} for ${lockDeadlineMs} ms`,
        );
      }
      await pause(clock, 10);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLink(mine: string, path: string): boolean {
  try {
    linkSync(mine, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    const holder = heldBy(path);
    const [pid, startTime] = holder?.split(' ') ?? [];
    if (holder !== undefined && startTimeOf(Number(pid)) !== startTime) rmSync(path, { force: true });
    return false;
  }
}

function heldBy(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
