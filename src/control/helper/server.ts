import { lstatIfThere } from '../../platform/stat.ts';
import type { HelperPolicy } from '../../protocol/helper-policy.ts';
import { ControlError } from '../control.ts';
import { tapRules } from '../network/filter.ts';
import { portSettings, tapCommands, tapUpCommands } from '../network/bridge.ts';
import type { UserCgroups } from './cgroups.ts';
import { type NicEntry, requireRoom, type UndoJournal } from './journal.ts';
import { requireAllowed, requireNetworks, requirePeers } from './policy.ts';
import { withNodeLock } from './node-lock.ts';
import { ownerOf, startTimeOf } from './proc.ts';
import type { HelperAnswer, HelperRequest } from './requests.ts';
import { detachNics, forgottenSlots, removeForgotten, type UndoParts, undoSlot } from './slot-undo.ts';
import { messageOf } from '../../platform/message-of.ts';

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
  readonly journal: UndoJournal;
  /** Holds the slot, once it has a journal (`dead-slots.ts`). */
  readonly hold: () => Promise<void>;
  readonly cgroups: UserCgroups;
  /** The group of the job's user. */
  readonly gid: number;
  /** What root allows; undefined: it is root itself who asks. */
  readonly policy: HelperPolicy | undefined;
}

/** Carries out a request; never throws. */
export async function serve(parts: ServerParts, request: HelperRequest): Promise<HelperAnswer> {
  try {
    await perform(parts, request);
    return { id: request.id, ok: true };
  } catch (cause) {
    const code = cause instanceof ControlError ? cause.code : 'helper_failed';
    return { id: request.id, ok: false, code, message: messageOf(cause) };
  }
}

async function perform(parts: ServerParts, request: HelperRequest): Promise<void> {
  if (request.op === 'undo') return undo(parts);
  if (request.op === 'check-networks') {
    if (parts.policy) requireNetworks(parts.policy, request.networks);
    return;
  }
  const forgotten = await withNodeLock(parts.at, async () => {
    await change(parts, request);
    await parts.hold();
    return request.op === 'adopt-directory' ? forgottenSlots(parts.at) : [];
  });
  // What a power loss has left here of other slots. If that fails, kill-all says so.
  await removeForgotten(parts.at, parts.tools, forgotten);
}

async function undo({ cgroups, ...parts }: ServerParts): Promise<void> {
  cgroups.leave();
  await undoSlot(parts.journal, parts).finally(() => cgroups.enter());
}

/** Under the node's lock. */
async function change(
  parts: ServerParts,
  request: Exclude<HelperRequest, { op: 'undo' | 'check-networks' }>,
): Promise<void> {
  const { journal, gid } = parts;
  const { uid } = journal.key;
  switch (request.op) {
    case 'attach-nic':
      if (parts.policy) requireAllowed(parts.policy, request.nic);
      return attachNic(parts, request);
    case 'detach-nic': {
      const entry = nicOf(journal, request.tap);
      if (entry) await detachNic(parts, entry);
      return;
    }
    case 'set-peers':
      if (parts.policy) requirePeers(parts.policy, request.peers);
      return parts.bridges.setPeers(request.bridge, request.peers, journal.key);
    case 'adopt-process': {
      const startTime = startTimeOf(request.pid);
      if (startTime === undefined) return;
      if (ownerOf(request.pid) !== uid)
        throw new ControlError('not_yours', `process ${request.pid} is not the caller's`);
      requireRoom(journal, 'process');
      return journal.append({ kind: 'process', pid: request.pid, startTime });
    }
    case 'adopt-directory': {
      const { path } = request;
      // The same words whatever there is: root sees more than its caller may.
      if (!isDirectoryOf(path, uid))
        throw new ControlError('not_yours', `there is no directory ${path} that is the caller's`);
      requireRoom(journal, 'directory');
      return journal.append({ kind: 'directory', path, uid, gid });
    }
  }
}

function isDirectoryOf(path: string, uid: number): boolean {
  try {
    const there = lstatIfThere(path);
    return there?.isDirectory() === true && there.uid === uid;
  } catch {
    return false;
  }
}

async function attachNic(parts: ServerParts, request: HelperRequest & { op: 'attach-nic' }): Promise<void> {
  const { at, journal, bridges, tools } = parts;
  const { nic, hostname } = request;
  const { key } = journal;
  const mine = nicOf(journal, nic.tap);
  // The request of a helper that died in the middle, repeated.
  if (mine) await detachNic(parts, mine);
  requireRoom(journal, 'nic');
  bridges.check(nic, key.uid);
  const entry: NicEntry = { kind: 'nic', tap: nic.tap, bridge: nic.bridge.name, address: nic.address };
  journal.append(entry);
  try {
    await bridges.join(nic, hostname, key);
    // There is no moment in which the tap is up and unguarded.
    await tools.ipBatch(tapCommands(nic, key.uid, at.mark));
    tools.set(portSettings(nic.tap));
    await tools.nft(tapRules(nic));
    await tools.ipBatch(tapUpCommands(nic));
  } catch (cause) {
    // At once, not at the slot's end. What that cannot take away, the journal still names.
    await detachNic(parts, entry).catch(() => undefined);
    throw cause;
  }
}

async function detachNic(parts: ServerParts, entry: NicEntry): Promise<void> {
  await detachNics([entry], parts.journal.key, parts);
  parts.journal.append({ kind: 'detached', tap: entry.tap });
}

function nicOf(journal: UndoJournal, tap: string): NicEntry | undefined {
  return journal.entries().find((entry): entry is NicEntry => entry.kind === 'nic' && entry.tap === tap);
}
