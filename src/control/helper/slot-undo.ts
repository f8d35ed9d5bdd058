import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ControlError } from '../control.ts';
import { deleteRulesOf } from '../network/filter.ts';
import { interfaceNames } from '../network/interfaces.ts';
import type { Bridges } from './bridges.ts';
import type { WorkDirectory } from './disk-records.ts';
import type { HelperDirectory, NicEntry, UndoEntry, UndoJournal } from './journal.ts';
import { killProcess } from './proc.ts';
import type { RootTools } from './tools.ts';
import { formatDuration } from '../../protocol/units.ts';

const killDeadlineMs = 5_000;

/** What undoing needs. */
export interface UndoParts {
  readonly bridges: Bridges;
  readonly tools: RootTools;
}

type EntryOf<K extends UndoEntry['kind']> = Extract<UndoEntry, { kind: K }>;

/**
 * Undoes everything in a slot's journal, whatever became of it meanwhile; under the node's lock. Goes on after a failure, so that as
 * much as possible is restored; then throws `ControlError` with all that is left, and the journal stays.
 */
export async function undoSlot(journal: UndoJournal, parts: UndoParts): Promise<void> {
  const left: string[] = [];
  const attempt = async (what: string, work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (cause) {
      left.push(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  };
  const entries = [...journal.entries()].reverse();
  const of = <K extends UndoEntry['kind']>(kind: K): EntryOf<K>[] =>
    entries.filter((entry): entry is EntryOf<K> => entry.kind === kind);
  // Guests first and all at once: nothing else may change under a running VMM.
  await Promise.all(of('process').map(entry => attempt(`process ${entry.pid}`, endProcess(entry, parts))));
  await attempt('interfaces', detachNics(of('nic'), parts));
  await Promise.all(of('directory').map(entry => attempt(entry.path, removeDirectory(entry, parts))));
  if (left.length > 0) throw new ControlError('undo_failed', `not undone: ${left.join('; ')}`);
  journal.remove();
}

/** Takes interfaces away: taps and routes with one program, filters with a second, however many there are. Doing it again does nothing. */
export async function detachNics(entries: readonly NicEntry[], { bridges, tools }: UndoParts): Promise<void> {
  if (entries.length === 0) return;
  const before = interfaceNames();
  await tools.ipBatchAnyway([
    ...entries.filter(({ tap }) => before.has(tap)).map(({ tap }) => `link del dev ${tap}`),
    ...entries
      .filter(({ bridge }) => before.has(bridge))
      .map(({ bridge, address }) => `route del ${address}/32 dev ${bridge}`),
  ]);
  const after = interfaceNames();
  const left = entries.filter(({ tap }) => after.has(tap)).map(({ tap }) => tap);
  // A tap that is still there keeps its filter.
  if (left.length > 0) throw new ControlError('undo_failed', `${left.join(', ')} cannot be deleted`);
  await tools.nft(entries.map(({ tap }) => deleteRulesOf(tap)).join(''));
  for (const bridge of new Set(entries.map(entry => entry.bridge))) {
    const taps = entries.filter(entry => entry.bridge === bridge).map(({ tap }) => tap);
    await bridges.leave(bridge, taps);
  }
}

async function endProcess(entry: EntryOf<'process'>, { tools }: UndoParts): Promise<void> {
  if (!(await killProcess(tools.clock, entry.pid, entry.startTime, killDeadlineMs)))
    throw new ControlError('undo_failed', `does not end within ${formatDuration(killDeadlineMs)} of SIGKILL`);
}

/**
 * Removes the files of slots that the node's power has ended (`disk-records.ts`); under the node's lock. Resolves with the slots, and with what could
 * not be removed, a sentence each.
 */
export async function removeForgotten(
  at: HelperDirectory,
  tools: RootTools,
  only?: string,
): Promise<{ readonly undone: readonly string[]; readonly left: readonly string[] }> {
  const undone: string[] = [];
  const left: string[] = [];
  for (const { slotId, directory } of at.records.all()) {
    if ((only !== undefined && slotId !== only) || existsSync(join(at.slots, slotId, 'undo.jsonl'))) continue;
    try {
      if (!directory)
        throw new ControlError('journal_damaged', `${at.records.pathOf(slotId)} cannot be read`);
      await removeDirectory(directory, { tools });
      at.records.forget(slotId);
      undone.push(slotId);
    } catch (cause) {
      left.push(`${slotId}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }
  return { undone, left };
}

async function removeDirectory(
  { path, uid, gid }: WorkDirectory,
  { tools }: Pick<UndoParts, 'tools'>,
): Promise<void> {
  if (!existsSync(path)) return;
  const remove = ['rm', '-rf', '--one-file-system', '--', path] as const;
  // As its owner, so that a directory that was swapped for a link cannot make root delete something else.
  if (uid === process.getuid?.()) await tools.run(remove);
  else await tools.run(['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...remove]);
}
