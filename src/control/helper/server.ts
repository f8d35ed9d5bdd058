import { statSync } from 'node:fs';
import { ControlError } from '../control.ts';
import { tapRules } from '../network/filter.ts';
import { tapCommands } from '../network/links.ts';
import type { Bridges } from './bridges.ts';
import type { UndoEntry, UndoJournal } from './journal.ts';
import { withNodeLock } from './node-lock.ts';
import { ownerOf, startTimeOf } from './proc.ts';
import type { HelperAnswer, HelperRequest } from './requests.ts';
import { undoEntry, undoSlot } from './slot-undo.ts';
import type { RootTools } from './tools.ts';

/**
 * What the helper does for one slot, one request at a time.
 *
 *   request ─► journal the undo entries ─► do it ─► answer
 *   input closed, or `undo` ─► undo all ─► journal gone
 *
 * Invariant: every change of the node has its undo entry on disk before it is made. If we crash: whoever reads the journal next (a helper of
 * the same slot started again, kill-all) undoes it.
 */
export interface ServerParts {
  readonly journal: UndoJournal;
  readonly bridges: Bridges;
  readonly tools: RootTools;
  readonly nodeDirectory: string;
  /** The job's user: who called sudo. */
  readonly uid: number;
  readonly gid: number;
}

/** Carries out a request; never throws. */
export async function serve(parts: ServerParts, request: HelperRequest): Promise<HelperAnswer> {
  try {
    await withNodeLock(parts.tools.clock, parts.nodeDirectory, () => perform(parts, request));
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
  return withNodeLock(parts.tools.clock, parts.nodeDirectory, () =>
    undoSlot(parts.journal, parts.bridges, parts.tools),
  );
}

async function perform(parts: ServerParts, request: HelperRequest): Promise<void> {
  const { journal, bridges, tools, uid, gid } = parts;
  switch (request.op) {
    case 'attach-nic': {
      const { nic, hostname } = request;
      journal.append({ kind: 'bridge-member', bridge: nic.bridge.name, tap: nic.tap });
      journal.append({ kind: 'tap', tap: nic.tap });
      await bridges.join(nic, hostname);
      // The filter first: there is no moment in which the tap is up and unfiltered.
      await tools.nft(tapRules(nic));
      await tools.ipBatch(tapCommands(nic, uid));
      return;
    }
    case 'detach-nic': {
      const ofTap = (entry: UndoEntry): boolean => 'tap' in entry && entry.tap === request.tap;
      for (const entry of [...journal.entries()].filter(ofTap).reverse())
        await undoEntry(entry, bridges, tools);
      return;
    }
    case 'adopt-process': {
      const startTime = startTimeOf(request.pid);
      if (startTime === undefined) return;
      if (ownerOf(request.pid) !== uid)
        throw new ControlError('not_yours', `process ${request.pid} is not the caller's`);
      journal.append({ kind: 'process', pid: request.pid, startTime });
      return;
    }
    case 'adopt-directory':
      if (statSync(request.path).uid !== uid)
        throw new ControlError('not_yours', `${request.path} is not the caller's`);
      journal.append({ kind: 'directory', path: request.path, uid, gid });
      return;
    case 'undo':
      await undoSlot(journal, bridges, tools);
      return;
  }
}
