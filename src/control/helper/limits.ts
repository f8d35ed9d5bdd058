import { ControlError } from '../control.ts';
import { isStanding, type UndoEntry, type UndoJournal } from './journal.ts';

/**
 * How much one slot may have on a node: more than a lease ever needs, and little enough for root to
 * undo.
 */
const most: Readonly<Record<UndoEntry['kind'], number>> = { nic: 512, process: 4_096, directory: 4 };

const words: Readonly<Record<UndoEntry['kind'], string>> = {
  nic: 'interfaces',
  process: 'processes',
  directory: 'directories',
};

/** Throws `ControlError` `too_many` when the slot has as much of this kind as it may. */
export function requireRoom(journal: UndoJournal, kind: UndoEntry['kind']): void {
  const there = journal.entries().filter(entry => entry.kind === kind);
  // Whether they live is looked at only when it matters.
  if (there.length >= most[kind] && there.filter(isStanding).length >= most[kind])
    throw new ControlError('too_many', `a slot has at most ${most[kind]} ${words[kind]} on a node`);
}
