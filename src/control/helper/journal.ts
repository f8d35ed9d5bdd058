import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from '../control.ts';
import { linkMark } from '../network/links.ts';
import { DiskRecords, type WorkDirectory } from './disk-records.ts';
import { appendDurably, syncDirectoryOf, writeDurably } from './durable.ts';

/**
 * What the helper will have to undo, written before it is done (DESIGN §3). Undoing an entry whose change never came about does
 * nothing, so it does not matter between the two of them that we crash.
 */
export type UndoEntry =
  /** Kill the process, if it is still that one: pids are used again, start times with them are not. */
  | { readonly kind: 'process'; readonly pid: number; readonly startTime: string }
  /** A VM's interface: tap, filter, route to the guest, DHCP reservation, membership of the bridge; the last one takes the bridge with it. */
  | NicEntry
  /** The slot's work directory, which is in `disk-records.ts` too. */
  | ({ readonly kind: 'directory' } & WorkDirectory);

/** All that is needed to take a VM's interface away, with everything that belongs to it. */
export interface NicEntry {
  readonly kind: 'nic';
  readonly tap: string;
  readonly bridge: string;
  readonly address: string;
}

/** Written when an interface was taken away before the slot's end: its name may be another slot's from then on. */
type DetachedMark = { readonly kind: 'detached'; readonly tap: string };

/**
 * Where the helper keeps its state on a node. What stands there is believed, so only root may write it.
 *
 *   <state dir>/<node>/lock                      see node-lock.ts
 *                      slots/<slotId>/undo.jsonl see UndoJournal
 *                                     owner      uid of the job's user
 *                                     holder     see dead-slots.ts
 *                      bridges/<bridge>/…        see bridges.ts
 *   <disk dir>/<node>/<slotId>                      see disk-records.ts
 */
export interface HelperDirectory {
  readonly name: string;
  readonly node: string;
  readonly slots: string;
  readonly bridges: string;
  readonly records: DiskRecords;
  /** The alias of interfaces that are this state directory's. */
  readonly mark: string;
  /** The file with the process id of a bridge's DHCP service. */
  dhcpPidOf(bridge: string): string;
}

/** Where a node's state is, under the helper's two directories: the one for what ends with the kernel's life, the other for what does not. */
export function helperDirectory(stateDir: string, diskDir: string, node: string): HelperDirectory {
  const path = join(stateDir, node);
  return {
    name: node,
    node: path,
    slots: join(path, 'slots'),
    bridges: join(path, 'bridges'),
    records: new DiskRecords(diskDir, node),
    mark: linkMark(path),
    dhcpPidOf: bridge => join(path, 'bridges', bridge, 'pid'),
  };
}

/** The journal of a slot, made with its first entry. All calls are made under the node's lock. */
export interface UndoJournal {
  readonly slotId: string;
  /** Throws `ControlError` `slot_undone` when somebody else (kill-all) has undone the slot since our last entry. */
  append(entry: UndoEntry | DetachedMark): void;
  /** What is to be undone, in the order in which it was written. Throws `ControlError` `journal_damaged` at an entry of an unknown kind. */
  entries(): readonly UndoEntry[];
  /** Everything is undone: the journal goes. */
  remove(): void;
}

/**
 * The journal of a slot. `uid`: whose helper asks; undefined for kill-all, which may read every journal. Each call throws `ControlError` `not_yours` when
 * the slot is another user's: who may use sudo for a helper may not end everybody's.
 */
export function undoJournal({ slots, records }: HelperDirectory, slotId: string, uid?: number): UndoJournal {
  const directory = join(slots, slotId);
  const path = join(directory, 'undo.jsonl');
  let hasEntries = existsSync(path);
  const owner = join(directory, 'owner');
  const checkOwner = (): void => {
    if (uid !== undefined && existsSync(owner) && readFileSync(owner, 'utf8') !== String(uid))
      throw new ControlError('not_yours', `${slotId} belongs to another user on this node`);
  };
  return {
    slotId,
    append(entry) {
      if (hasEntries && !existsSync(path))
        throw new ControlError('slot_undone', `${slotId} has been undone on this node (wsp kill-all)`);
      mkdirSync(slots, { recursive: true, mode: 0o700 });
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      checkOwner();
      if (uid !== undefined && !existsSync(owner)) writeDurably(owner, String(uid));
      if (entry.kind === 'directory')
        records.keep(slotId, { path: entry.path, uid: entry.uid, gid: entry.gid });
      appendLine(path, `${JSON.stringify(entry)}\n`);
      hasEntries = true;
    },
    entries() {
      checkOwner();
      return existsSync(path) ? standing(parseJournal(readFileSync(path, 'utf8'), path)) : [];
    },
    remove() {
      checkOwner();
      records.forget(slotId);
      rmSync(directory, { recursive: true, force: true });
      hasEntries = false;
    },
  };
}

/** A torn last line begins on a line of its own for the next entry; the file's name is made durable with its first one. */
function appendLine(path: string, line: string): void {
  const isNew = !existsSync(path);
  const isTorn = !isNew && !/(^|\n)$/.test(readFileSync(path, 'utf8'));
  appendDurably(path, isTorn ? `\n${line}` : line);
  if (isNew) syncDirectoryOf(path);
}

/** A line torn by a crash was not followed by its change, so it is left out. */
function parseJournal(text: string, path: string): (UndoEntry | DetachedMark)[] {
  return text.split('\n').flatMap(line => {
    if (line === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return [];
    }
    const kind = (value as { readonly kind?: unknown } | null)?.kind;
    // A kind that we do not know is another version's: leaving it out would call a node restored that is not.
    if (kind !== 'process' && kind !== 'nic' && kind !== 'directory' && kind !== 'detached')
      throw new ControlError(
        'journal_damaged',
        `${path} has an entry of an unknown kind: ${line.slice(0, 200)}`,
      );
    return [value as UndoEntry | DetachedMark];
  });
}

function standing(written: readonly (UndoEntry | DetachedMark)[]): UndoEntry[] {
  const entries: UndoEntry[] = [];
  for (const entry of written) {
    if (entry.kind !== 'detached') entries.push(entry);
    else {
      const at = entries.findIndex(each => each.kind === 'nic' && each.tap === entry.tap);
      if (at >= 0) entries.splice(at, 1);
    }
  }
  return entries;
}
