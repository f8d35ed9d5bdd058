import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from '../control.ts';
import { type HelperDirectory, undoJournal } from './journal.ts';
import { lockFile, withNodeLock } from './node-lock.ts';
import { type UndoParts, undoSlot } from './slot-undo.ts';

/**
 * Slots whose pilot and helper have both been killed, so that nobody is left who undoes them:
 * another slot's helper on the node does.
 *
 *   held by its helper ─► helper dies ─► a new one holds it at once, because its pilot lives
 *                                    └─► nobody holds it at two looks ─► undone
 *
 * `slots/<slotId>/holder` is locked by the slot's helper for as long as that lives, and the kernel
 * lets go of it. A slot without that file is of a helper that
 * holds none, or that died before it could: kill-all is for those.
 */
const holderFile = 'holder';

/** Between the two looks: a pilot that lives has started its helper again by then (`client.ts`). */
export const sweepAfterMs = 30_000;
/** Of one sweep; the next helper goes on. */
const mostSlots = 100;

/**
 * Holds the slot for this process, once it has a journal. Under the node's lock. Holding it again
 * does nothing.
 */
export function slotHold({ slots }: HelperDirectory, slotId: string): () => Promise<void> {
  let held = false;
  return async () => {
    if (held || !existsSync(join(slots, slotId, 'undo.jsonl'))) return;
    const file = openSync(join(slots, slotId, holderFile), 'a', 0o600);
    held = await lockFile(file, 0);
    if (!held) closeSync(file);
  };
}

/** The slots on the node that nobody holds, other than `own`. Under the node's lock. */
export async function deadSlots({ slots }: HelperDirectory, own: string): Promise<readonly string[]> {
  const dead: string[] = [];
  for (const slotId of existsSync(slots) ? readdirSync(slots) : [])
    if (slotId !== own && (await isFree(join(slots, slotId, holderFile)))) dead.push(slotId);
  return dead.slice(0, mostSlots);
}

async function isFree(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  const file = openSync(path, 'a', 0o600);
  try {
    return await lockFile(file, 0);
  } finally {
    closeSync(file);
  }
}

/**
 * Undoes those of `seen` that still nobody holds and that are of the user `uid`. Resolves with a
 * sentence for each of them.
 */
export function sweepDeadSlots(
  at: HelperDirectory,
  parts: UndoParts,
  { own, seen, uid }: { readonly own: string; readonly seen: readonly string[]; readonly uid: number },
): Promise<readonly string[]> {
  return withNodeLock(at, async () => {
    const told: string[] = [];
    for (const slotId of await deadSlots(at, own)) {
      if (!seen.includes(slotId)) continue;
      try {
        await undoSlot(undoJournal(at, slotId, uid), parts);
        told.push(`${slotId} is undone, whose pilot and helper have both died`);
      } catch (cause) {
        if (cause instanceof ControlError && cause.code === 'not_yours') continue;
        told.push(`${slotId}, whose pilot and helper have both died: ${String(cause)}`);
      }
    }
    return told;
  });
}
