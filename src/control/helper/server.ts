import { lstatIfThere } from '../../platform/stat.ts';
import { ControlError } from '../control.ts';
import { tapRules } from '../network/filter.ts';
import { interfaceNames } from '../network/interfaces.ts';
import { portSettings, tapCommands, tapUpCommands } from '../network/links.ts';
import type { HelperDirectory, NicEntry, UndoJournal } from './journal.ts';
import { withNodeLock } from './node-lock.ts';
import { ownerOf, startTimeOf } from './proc.ts';
import type { HelperAnswer, HelperRequest } from './requests.ts';
import { detachNics, removeForgotten, type UndoParts, undoSlot } from './slot-undo.ts';

/**
 * What the helper does for one slot, one request at a time.
 *
 *   request ─► lock the node ─► journal the undo entry ─► do it ─► answer
 *   input closed, or `undo` ─► undo all ─► journal gone
 *
 * Invariants: every change of the node has its undo entry on disk before it is made; nothing of another slot's is ever in our journal. If we
 * crash: whoever reads the journal next (a helper of the same slot started again, kill-all) undoes it. Every request may be repeated.
 */
export interface ServerParts extends UndoParts {
  readonly at: HelperDirectory;
  readonly journal: UndoJournal;
  /** Holds the slot, once it has a journal (`dead-slots.ts`). */
  readonly hold: () => Promise<void>;
  /** The job's user: who called sudo. */
  readonly uid: number;
  readonly gid: number;
}

/** Carries out a request; never throws. */
export async function serve(parts: ServerParts, request: HelperRequest): Promise<HelperAnswer> {
  try {
    await withNodeLock(parts.at, async () => {
      await perform(parts, request);
      await parts.hold();
    });
    return { id: request.id, ok: true };
  } catch (cause) {
    const code = cause instanceof ControlError ? cause.code : 'helper_failed';
    return {
      id: request.id,
      ok: false,
      code,
      message: cause instanceof Error ? cause.message : String(cause),
    };
  }
}

/** Undoes the whole slot under the node's lock. Throws `ControlError` naming what is left. */
export function undoAll(parts: ServerParts): Promise<void> {
  return withNodeLock(parts.at, () => undoSlot(parts.journal, parts));
}

async function perform(parts: ServerParts, request: HelperRequest): Promise<void> {
  const { journal, uid, gid } = parts;
  switch (request.op) {
    case 'attach-nic':
      return attachNic(parts, request);
    case 'detach-nic': {
      const entry = nicOf(journal, request.tap);
      if (entry) await detachNic(parts, entry);
      return;
    }
    case 'set-peers':
      return parts.bridges.setPeers(request.bridge, request.peers, journal.slotId);
    case 'adopt-process': {
      const startTime = startTimeOf(request.pid);
      if (startTime === undefined) return;
      if (ownerOf(request.pid) !== uid)
        throw new ControlError('not_yours', `process ${request.pid} is not the caller's`);
      journal.append({ kind: 'process', pid: request.pid, startTime });
      return;
    }
    case 'adopt-directory': {
      const { path } = request;
      const there = lstatIfThere(path);
      if (!there?.isDirectory()) throw new ControlError('not_found', `there is no directory ${path}`);
      if (there.uid !== uid) throw new ControlError('not_yours', `${path} is not the caller's`);
      journal.append({ kind: 'directory', path, uid, gid });
      // What a power loss has left here of other slots. If that fails, kill-all says so.
      await removeForgotten(parts.at, parts.tools);
      return;
    }
    case 'undo':
      return undoSlot(journal, parts);
  }
}

async function attachNic(parts: ServerParts, request: HelperRequest & { op: 'attach-nic' }): Promise<void> {
  const { journal, bridges, tools, uid } = parts;
  const { nic, hostname } = request;
  const mine = nicOf(journal, nic.tap);
  // The request of a helper that died in the middle, repeated.
  if (mine) await detachNic(parts, mine);
  const owner = bridges.ownerOf(nic.tap);
  if (owner !== undefined || interfaceNames().has(nic.tap)) {
    const whose = owner === undefined ? 'no slot' : owner;
    throw new ControlError('tap_in_use', `this node has a tap ${nic.tap} already (it belongs to ${whose})`);
  }
  journal.append({ kind: 'nic', tap: nic.tap, bridge: nic.bridge.name, address: nic.address });
  await bridges.join(nic, hostname, journal.slotId);
  // There is no moment in which the tap is up and unguarded.
  await tools.ipBatch(tapCommands(nic, uid, parts.at.mark));
  tools.set(portSettings(nic.tap));
  await tools.nft(tapRules(nic));
  await tools.ipBatch(tapUpCommands(nic));
}

async function detachNic(parts: ServerParts, entry: NicEntry): Promise<void> {
  await detachNics([entry], parts);
  parts.journal.append({ kind: 'detached', tap: entry.tap });
}

function nicOf(journal: UndoJournal, tap: string): NicEntry | undefined {
  return journal.entries().find((entry): entry is NicEntry => entry.kind === 'nic' && entry.tap === tap);
}
