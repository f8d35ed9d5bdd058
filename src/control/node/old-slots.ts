import { type Dirent, existsSync } from 'node:fs';
import { opendir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeepLogs } from '../../protocol/pilot.ts';
import { slotIdPattern } from '../../protocol/ids.ts';
import { startTimeOf } from '../helper/proc.ts';

/**
 * What ended slots leave in `<workDir>/<node>`: their pilots' logs and journals, for whoever asks
 * what happened. Each pilot removes at its start those that are too old or too many.
 *
 * A slot has ended when the process that its `pilot` file names is gone, and so is its `vms`
 * directory, which the helper's undo removes.
 */
const pilotFile = 'pilot';

/** Of one start's work: directories looked at, and removed. The next start goes on. */
const mostSeen = 1_000;
const mostRemoved = 100;
/** A directory that was written to since then may be a slot's that is just beginning. */
const youngestMs = 60_000;

/** Says in a slot's directory which process its pilot is. */
export async function notePilot(slotDirectory: string, pid: number): Promise<void> {
  await writeFile(join(slotDirectory, pilotFile), `${pid} ${startTimeOf(pid) ?? ''}`, { mode: 0o600 });
}

/** Removes ended slots but `own`; resolves with their ids. Rejects with the file system's error. */
export async function removeOldSlots(
  nodeDirectory: string,
  own: string,
  keep: KeepLogs,
  now: number,
): Promise<readonly string[]> {
  const ended: { readonly slotId: string; readonly endedAt: number }[] = [];
  for (const slotId of await slotsIn(nodeDirectory)) {
    if (slotId === own) continue;
    const endedAt = await endOf(join(nodeDirectory, slotId));
    if (endedAt !== undefined && endedAt < now - youngestMs) ended.push({ slotId, endedAt });
  }
  const newestFirst = ended.toSorted((one, other) => other.endedAt - one.endedAt);
  const removed = newestFirst
    .filter(({ endedAt }, index) => index >= keep.slots || endedAt < now - keep.forMs)
    .slice(-mostRemoved)
    .map(({ slotId }) => slotId);
  for (const slotId of removed) await rm(join(nodeDirectory, slotId), { recursive: true, force: true });
  return removed;
}

async function slotsIn(directory: string): Promise<readonly string[]> {
  const slots: string[] = [];
  const slotId = new RegExp(slotIdPattern);
  // Leaving the loop closes it.
  for await (const entry of (await opendir(directory)) as AsyncIterable<Dirent>) {
    if (entry.isDirectory() && slotId.test(entry.name)) slots.push(entry.name);
    if (slots.length >= mostSeen) break;
  }
  return slots;
}

/** When the slot's pilot wrote its last line; undefined while it may live, or if it is removed. */
async function endOf(directory: string): Promise<number | undefined> {
  try {
    if (existsSync(join(directory, 'vms'))) return undefined;
    const [pid = '', startTime = ''] = (
      await readFile(join(directory, pilotFile), 'utf8').catch(() => '')
    ).split(' ');
    // Without a note it is of a version that left none: its log tells how long it is silent.
    if (pid !== '' && startTimeOf(Number(pid)) === startTime) return undefined;
    return (await stat(join(directory, 'pilot.log'))).mtimeMs;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    return existsSync(directory) ? (await stat(directory)).mtimeMs : undefined;
  }
}
