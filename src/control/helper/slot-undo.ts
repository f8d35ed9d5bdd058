import { existsSync } from 'node:fs';
import { ControlError } from '../control.ts';
import { deleteRulesOf } from '../network/filter.ts';
import { interfaceNames } from '../network/interfaces.ts';
import type { Bridges } from './bridges.ts';
import type { WorkDirectory } from './disk-records.ts';
import {
  type HelperDirectory,
  type NicEntry,
  type UndoEntry,
  type UndoJournal,
  undoJournal,
  undoKinds,
} from './journal.ts';
import { withNodeLock } from './node-lock.ts';
import { endProcess, ownerOf, type StartedProcess } from './proc.ts';
import { keyText, type SlotKey } from './slot-key.ts';
import type { RootTools } from './tools.ts';
import { formatDuration } from '../../protocol/units.ts';
import { messageOf } from '../../platform/message-of.ts';

const killDeadlineMs = 5_000;

/** What undoing needs. */
export interface UndoParts {
  readonly at: HelperDirectory;
  readonly bridges: Bridges;
  readonly tools: RootTools;
}

type EntryOf<K extends UndoEntry['kind']> = Extract<UndoEntry, { kind: K }>;

/** A helper that lives may add to its journal while kill-all undoes it: it is read so often. */
const mostLooks = 3;

/**
 * Undoes everything in a slot's journal, whatever became of it meanwhile. Takes the node's lock for
 * what slots share, and only for that: how long a user's processes take to end, or their files to
 * be removed, is nobody else's wait. Goes on after a failure, so that as much as possible is
 * restored; then throws `ControlError` with all that is left, and the journal stays.
 */
export async function undoSlot(journal: UndoJournal, parts: UndoParts): Promise<void> {
  for (let look = 0; look < mostLooks; look += 1) {
    const entries = journal.entries();
    const left = await undoEntries(entries.toReversed(), journal.key, parts);
    if (left.length > 0) throw new ControlError('undo_failed', `not undone: ${left.join('; ')}`);
    if (await withNodeLock(parts.at, () => journal.remove(entries))) return;
  }
  throw new ControlError('undo_failed', 'not undone: more is added all the time');
}

async function undoEntries(
  entries: readonly UndoEntry[],
  key: SlotKey,
  parts: UndoParts,
): Promise<readonly string[]> {
  const left: string[] = [];
  const attempt = async (what: string, work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (cause) {
      left.push(`${what}: ${messageOf(cause)}`);
    }
  };
  for (const kind of undoKinds) await undo[kind](entries, { key, parts, attempt });
  return left;
}

function ofKind<K extends UndoEntry['kind']>(entries: readonly UndoEntry[], kind: K): readonly EntryOf<K>[] {
  return entries.filter((entry): entry is EntryOf<K> => entry.kind === kind);
}

interface Undoing {
  readonly key: SlotKey;
  readonly parts: UndoParts;
  /** Notes what fails, and goes on. */
  readonly attempt: (what: string, work: Promise<void>) => Promise<void>;
}

/** How each kind of change is undone, of all that a slot has written. */
const undo: Readonly<
  Record<UndoEntry['kind'], (entries: readonly UndoEntry[], undoing: Undoing) => Promise<void>>
> = {
  async process(entries, { key, parts, attempt }) {
    await Promise.all(
      ofKind(entries, 'process').map(entry =>
        attempt(`process ${entry.pid}`, killOwn(entry, key.uid, parts.tools)),
      ),
    );
  },
  async nic(entries, { key, parts, attempt }) {
    const nics = ofKind(entries, 'nic');
    if (nics.length === 0) return;
    await attempt(
      'interfaces',
      withNodeLock(parts.at, () => detachNics(nics, key, parts)),
    );
  },
  async directory(entries, { parts, attempt }) {
    // One after the other: a slot has one, and whoever names many gets no more of root's time at
    // once.
    for (const entry of ofKind(entries, 'directory'))
      await attempt(entry.path, removeDirectory(entry, parts.tools));
  },
};

/**
 * Takes interfaces away: taps and routes with one program, filters with a second, however many
 * there are; under the node's lock. Only those that their bridges know as this slot's: whatever
 * else a journal names was never made, or is another's. Doing it again does nothing.
 */
export async function detachNics(
  written: readonly NicEntry[],
  key: SlotKey,
  { bridges, tools }: UndoParts,
): Promise<void> {
  const entries = written.filter(({ tap, bridge }) => bridges.memberOf(bridge, tap)?.slot === keyText(key));
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

async function killOwn(entry: StartedProcess, uid: number, { clock }: RootTools): Promise<void> {
  // One that has become another user's since is no VMM of the slot's: a setuid program, say.
  if (ownerOf(entry.pid) !== uid) return;
  if (!(await endProcess(clock, entry, 'SIGKILL', killDeadlineMs)))
    throw new ControlError('undo_failed', `does not end within ${formatDuration(killDeadlineMs)} of SIGKILL`);
}

/** A record (`disk-records.ts`) without a journal: of a slot that the node's power has ended. */
type Forgotten = ReturnType<HelperDirectory['records']['all']>[number];

/** All that there are. Under the node's lock, in which a slot that begins has both or neither. */
export function forgottenSlots(at: HelperDirectory): readonly Forgotten[] {
  return at.records.all().filter(({ key }) => undoJournal(at, key).entries().length === 0);
}

/** Removes their files, outside of the lock. Resolves with the slots, and why others are left. */
export async function removeForgotten(
  at: HelperDirectory,
  tools: RootTools,
  forgotten: readonly Forgotten[],
): Promise<{ readonly undone: readonly string[]; readonly left: readonly string[] }> {
  const undone: string[] = [];
  const left: string[] = [];
  for (const { key, directory } of forgotten) {
    try {
      if (!directory) throw new ControlError('journal_damaged', `${at.records.pathOf(key)} cannot be read`);
      await removeDirectory(directory, tools);
      await withNodeLock(at, () => at.records.forget(key));
      undone.push(key.slotId);
    } catch (cause) {
      left.push(`${key.slotId}: ${messageOf(cause)}`);
    }
  }
  return { undone, left };
}

async function removeDirectory({ path, uid, gid }: WorkDirectory, tools: RootTools): Promise<void> {
  if (!existsSync(path)) return;
  const remove = ['rm', '-rf', '--one-file-system', '--', path] as const;
  // As its owner, so that a directory that was swapped for a link cannot make root delete something else.
  if (uid === process.getuid?.()) await tools.run(remove);
  else await tools.run(['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...remove]);
}
