import { existsSync } from 'node:fs';
import { ControlError } from '../control.ts';
import { deleteTable, tapTable } from '../network/filter.ts';
import { hasInterface } from '../network/interfaces.ts';
import type { Bridges } from './bridges.ts';
import type { UndoEntry, UndoJournal } from './journal.ts';
import { killProcess } from './proc.ts';
import type { RootTools } from './tools.ts';

const killDeadlineMs = 5_000;

/**
 * Undoes everything in a slot's journal, last change first, whatever became of it meanwhile. Goes on after a failure, so that as
 * much as possible is restored; then throws `ControlError` with all that is left, and the journal stays.
 */
export async function undoSlot(journal: UndoJournal, bridges: Bridges, tools: RootTools): Promise<void> {
  const left: string[] = [];
  const entries = [...journal.entries()].reverse();
  // Guests first and all at once: nothing else may change under a running VMM.
  const processes = entries.filter(entry => entry.kind === 'process');
  const others = entries.filter(entry => entry.kind !== 'process');
  const attempt = async (entry: UndoEntry): Promise<void> => {
    try {
      await undoEntry(entry, bridges, tools);
    } catch (cause) {
      left.push(`${entry.kind}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  };
  await Promise.all(processes.map(attempt));
  for (const entry of others) await attempt(entry);
  if (left.length > 0) throw new ControlError('undo_failed', `not undone: ${left.join('; ')}`);
  journal.remove();
}

/** Undoes one change. Doing it again, or when the change never was, does nothing. */
export async function undoEntry(entry: UndoEntry, bridges: Bridges, tools: RootTools): Promise<void> {
  switch (entry.kind) {
    case 'process':
      if (!(await killProcess(tools.clock, entry.pid, entry.startTime, killDeadlineMs))) {
        throw new ControlError('undo_failed', `process ${entry.pid} does not end`);
      }
      return;
    case 'tap':
      if (hasInterface(entry.tap)) await tools.run(['ip', 'link', 'del', 'dev', entry.tap]);
      await tools.nft(deleteTable('bridge', tapTable(entry.tap)));
      return;
    case 'bridge-member':
      await bridges.leave(entry.bridge, entry.tap);
      return;
    case 'directory':
      // As its owner, so that a directory that was swapped for a link cannot make root delete something else.
      if (existsSync(entry.path)) {
        await tools.run([
          'setpriv',
          `--reuid=${entry.uid}`,
          `--regid=${entry.gid}`,
          '--clear-groups',
          'rm',
          '-rf',
          '--one-file-system',
          '--',
          entry.path,
        ]);
      }
      return;
  }
}
