import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * What the helper will have to undo, written before it is done (DESIGN §3). Undoing an entry whose change never came about does
 * nothing, so it does not matter between the two of them that we crash.
 */
export type UndoEntry =
  /** Kill the process, if it is still that one: pids are used again, start times with them are not. */
  | { readonly kind: 'process'; readonly pid: number; readonly startTime: string }
  | { readonly kind: 'tap'; readonly tap: string }
  /** A VM's membership of a bridge; the last one takes the bridge with it. */
  | { readonly kind: 'bridge-member'; readonly bridge: string; readonly tap: string }
  /** The pilot's work directory, removed as the user whom it belongs to. */
  | { readonly kind: 'directory'; readonly path: string; readonly uid: number; readonly gid: number };

/** Directories of the helper on a node: root's alone, because what stands in them is believed. */
export interface HelperDirectory {
  readonly node: string;
  readonly slots: string;
  readonly bridges: string;
}

export function helperDirectory(stateDir: string, node: string): HelperDirectory {
  const path = join(stateDir, node);
  return { node: path, slots: join(path, 'slots'), bridges: join(path, 'bridges') };
}

export interface UndoJournal {
  append(entry: UndoEntry): void;
  /** In the order in which they were written. */
  entries(): readonly UndoEntry[];
  /** Everything is undone: the journal goes. */
  remove(): void;
}

/** The journal of a slot, made if it is not there. */
export function undoJournal(slots: string, slotId: string): UndoJournal {
  const directory = join(slots, slotId);
  const path = join(directory, 'undo.jsonl');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return {
    append(entry) {
      const file = openSync(path, 'a', 0o600);
      try {
        writeSync(file, `${JSON.stringify(entry)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    },
    entries: () => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').flatMap(parseEntry) : []),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A line torn by a crash was not followed by its change. */
function parseEntry(line: string): UndoEntry[] {
  try {
    return [JSON.parse(line) as UndoEntry];
  } catch {
    return [];
  }
}
