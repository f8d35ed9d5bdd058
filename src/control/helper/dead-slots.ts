import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type HelperDirectory, slotsOn, undoJournal } from './journal.ts';
import { lockFile, withNodeLock } from './node-lock.ts';
import { keyText, type SlotKey } from './slot-key.ts';
import { type UndoParts, undoSlot } from './slot-undo.ts';

/**
 * Slots whose pilot and helper have both been killed, so that nobody is left who undoes them:
 * another slot's helper on the node does.
 *
 *   held by its helper ─► helper dies ─► a new one holds it at once, because its pilot lives
 *                                    └─► nobody holds it at two looks ─► undone
 *
 * `slots/<slotId>.<uid>/holder` is locked by the slot's helper for as long as that lives, and the
 * kernel lets go of it. A slot without that file is of a helper that holds none, or that died
 * before it could: kill-all is for those.
 */
const holderFile = 'holder';

/** Between the two looks: a pilot that lives has started its helper again by then (`client.ts`). */
export const sweepAfterMs = 30_000;
/** Of one sweep; the next helper goes on. */
const mostSlots = 100;

/** Holds the slot for this process, once it has a journal; safe twice. Under the node's lock. */
export function slotHold({ slots }: HelperDirectory, key: SlotKey): () => Promise<void> {
  let held = false;
  const directory = join(slots, keyText(key));
  return async () => {
    if (held || !existsSync(join(directory, 'undo.jsonl'))) return;
    const file = openSync(join(directory, holderFile), 'a', 0o600);
    held = await lockFile(file, 0);
    if (!held) closeSync(file);
  };
}

/** Slots of the user of `own` that nobody holds, without `own` itself. Under the node's lock. */
export async function deadSlots(at: HelperDirectory, own: SlotKey): Promise<readonly SlotKey[]> {
  const dead: SlotKey[] = [];
  for (const key of slotsOn(at).filter(({ uid, slotId }) => uid === own.uid && slotId !== own.slotId))
    if (await isFree(join(at.slots, keyText(key), holderFile))) dead.push(key);
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

/** Undoes those of `seen` that still nobody holds. Resolves with a sentence for each of them. */
export async function sweepDeadSlots(
  parts: UndoParts,
  own: SlotKey,
  seen: readonly SlotKey[],
): Promise<readonly string[]> {
  const told: string[] = [];
  const dead = await withNodeLock(parts.at, () => deadSlots(parts.at, own));
  for (const key of dead.filter(({ slotId }) => seen.some(each => each.slotId === slotId))) {
    try {
      await undoSlot(undoJournal(parts.at, key), parts);
      told.push(`${key.slotId} is undone, whose pilot and helper have both died`);
    } catch (cause) {
      told.push(`${key.slotId}, whose pilot and helper have both died: ${String(cause)}`);
    }
  }
  return told;
}
