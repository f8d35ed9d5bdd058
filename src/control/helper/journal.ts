import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { statIfThere } from '../../platform/stat.ts';
import { ControlError } from '../control.ts';
import { linkMark } from '../network/bridge.ts';
import { DiskRecords, type WorkDirectory } from './disk-records.ts';
import { appendDurably, syncDirectoryOf, writeDurably } from './durable.ts';
import { isAlive } from './proc.ts';
import { keyIn, keyText, type SlotKey } from './slot-key.ts';

/**
 * What the helper will have to undo, written before it is done. Undoing an entry whose change never came about does
 * nothing, so it does not matter between the two of them that we crash.
 */
export type UndoEntry =
  /** Kill the process, if it is still that one: pids are used again, start times with them are not. */
  | { readonly kind: 'process'; readonly pid: number; readonly startTime: string }
  /** A VM's interface: tap, filter, route to the guest, DHCP reservation, membership of the bridge; the last one takes the bridge with it. */
  | NicEntry
  /** The slot's work directory, which is in `disk-records.ts` too. */
  | ({ readonly kind: 'directory' } & WorkDirectory);

/** The most of each kind that a slot may have: more than a lease needs, and root can undo it. */
const most: Readonly<Record<UndoEntry['kind'], readonly [count: number, words: string]>> = {
  process: [4_096, 'processes'],
  nic: [512, 'interfaces'],
  directory: [4, 'directories'],
};
/** Every kind, in the order in which a slot's are undone: nothing may change under a running VMM. */
export const undoKinds = Object.keys(most) as readonly UndoEntry['kind'][];

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
 *                      slots/<slotId>.<uid>/undo.jsonl  see UndoJournal
 *                                           holder      see dead-slots.ts
 *                      bridges/<bridge>/…               see bridges.ts
 *   <disk dir>/<node>/<slotId>.<uid>                       see disk-records.ts
 */
export type HelperDirectory = ReturnType<typeof helperDirectory>;

/** Where a node's state is: in `stateDir` what ends with the kernel's life, in `diskDir` the rest. */
export function helperDirectory(stateDir: string, diskDir: string, node: string) {
  const path = join(stateDir, node);
  return {
    name: node,
    node: path,
    slots: join(path, 'slots'),
    bridges: join(path, 'bridges'),
    records: new DiskRecords(diskDir, node),
    /** The alias of interfaces that are this state directory's. */
    mark: linkMark(path),
    /** The file with the process id of a bridge's DHCP service. */
    dhcpPidOf: (bridge: string) => join(path, 'bridges', bridge, 'pid'),
  };
}

/** Every slot that has a directory on the node. */
export function slotsOn({ slots }: HelperDirectory): readonly SlotKey[] {
  return existsSync(slots) ? readdirSync(slots).flatMap(name => keyIn(name) ?? []) : [];
}

/** Whether that slot has a directory on the node. */
export function isOnNode({ slots }: HelperDirectory, key: SlotKey): boolean {
  return existsSync(join(slots, keyText(key)));
}

/** A slot's journal, made with its first entry. All but `entries` is called under the lock. */
export interface UndoJournal {
  readonly key: SlotKey;
  /** Throws `ControlError` `slot_undone` when somebody else (kill-all) has undone the slot since our last entry. */
  append(entry: UndoEntry | DetachedMark): void;
  /** What is to be undone, in the order in which it was written. Throws `ControlError` `journal_damaged` at an entry of an unknown kind. */
  entries(): readonly UndoEntry[];
  /** All of `undone` is undone: the journal goes. False, and it stays, when there is more in it. */
  remove(undone: readonly UndoEntry[]): boolean;
}

/** The journal of a slot. */
export function undoJournal({ slots, records }: HelperDirectory, key: SlotKey): UndoJournal {
  const directory = join(slots, keyText(key));
  const path = join(directory, 'undo.jsonl');
  let hasEntries = existsSync(path);
  let lines = new JournalLines(path);
  return {
    key,
    append(entry) {
      if (hasEntries && !existsSync(path))
        throw new ControlError('slot_undone', `${key.slotId} has been undone on this node (wsp kill-all)`);
      mkdirSync(slots, { recursive: true, mode: 0o700 });
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      if (entry.kind === 'directory') records.keep(key, { path: entry.path, uid: entry.uid, gid: entry.gid });
      lines.append(entry);
      hasEntries = true;
    },
    entries: () => standing(lines.read()),
    remove(undone) {
      if (standing(lines.read()).length > undone.length) return false;
      if (hasEntries) records.forget(key);
      rmSync(directory, { recursive: true, force: true });
      hasEntries = false;
      lines = new JournalLines(path);
      return true;
    },
  };
}

/** Beyond so many lines, those of what was taken away again are left out. */
const mostLines = 4_096;

/**
 * Lines of a journal's file, kept here too, so that one more costs the same however many there are:
 * we are its only writer, and read it again when it is not as long as we left it.
 */
class JournalLines {
  readonly #path: string;
  #known: (UndoEntry | DetachedMark)[] = [];
  #size = 0;

  constructor(path: string) {
    this.#path = path;
  }

  read(): readonly (UndoEntry | DetachedMark)[] {
    const size = statIfThere(this.#path)?.size ?? 0;
    if (size === this.#size) return this.#known;
    const text = size === 0 ? '' : readFileSync(this.#path, 'utf8');
    this.#known = parseJournal(text, this.#path);
    this.#size = Buffer.byteLength(text);
    return this.#known;
  }

  append(entry: UndoEntry | DetachedMark): void {
    if (this.read().length >= mostLines) this.#shorten();
    appendLine(this.#path, `${JSON.stringify(entry)}\n`);
    this.#known.push(entry);
    this.#size = statIfThere(this.#path)?.size ?? 0;
  }

  /** In one step: the old lines, or the shorter ones. */
  #shorten(): void {
    const entries = standing(this.#known).filter(isStanding);
    writeDurably(`${this.#path}.new`, entries.map(each => `${JSON.stringify(each)}\n`).join(''));
    renameSync(`${this.#path}.new`, this.#path);
    syncDirectoryOf(this.#path);
    this.#size = -1;
    this.read();
  }
}

/** Throws `ControlError` `too_many` when the slot has as much of this kind as it may. */
export function requireRoom(journal: UndoJournal, kind: UndoEntry['kind']): void {
  const [count, words] = most[kind];
  const there = journal.entries().filter(entry => entry.kind === kind);
  // Whether they live is looked at only when it matters.
  if (there.length >= count && there.filter(isStanding).length >= count)
    throw new ControlError('too_many', `a slot has at most ${count} ${words} on a node`);
}

/** False of a process that is gone: nothing of it is to be undone any more. */
function isStanding(entry: UndoEntry): boolean {
  return entry.kind !== 'process' || isAlive(entry);
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
    if (kind !== 'detached' && !undoKinds.some(known => known === kind))
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
