import { join } from 'node:path';
import type { ControlError } from '../control.ts';
import { fileError } from '../images/disk-space.ts';
import { takeOwnDirectory } from './own-directory.ts';

/**
 * Where a slot's own files are on a node. Two roots, because two users write them: the job's user everything here; root the
 * helper's journals (`helper/journal.ts`), which no one else may write, because the helper believes them.
 *
 *   <workDir>/<node>/<slotId>/pilot.log              structured log of the pilot; what is older, in pilot.log.1
 *                             notifications.jsonl    journal of what was reported
 *                             pilot                  the pilot's process (`old-slots.ts`)
 *                             vms/<vm id>/           disks, seed, sockets and the console's log of one VM
 *
 * What a guest can make longer has a bound: its disk, as the image says how large it is; its
 * console's log and the pilot's, which keep what is newest.
 */
export type SlotDirectory = Readonly<ReturnType<typeof slotDirectory>>;

/** The paths of a slot's files on a node. Makes nothing. */
export function slotDirectory(workDir: string, node: string, slotId: string) {
  const path = join(workDir, node, slotId);
  return {
    path,
    pilotLog: join(path, 'pilot.log'),
    notificationJournal: join(path, 'notifications.jsonl'),
    vm: (vmId: string) => join(path, 'vms', vmId),
  };
}

/**
 * Takes a slot's directory for its pilot, also an earlier pilot's (an LRM may start a job again).
 * What is wrong with it, if anything: `workdir_unsafe` when others have had a hand in it, and
 * nothing in it is touched; `disk_full` or `work_directory` when it cannot be made.
 */
export function takeSlotDirectory({ path }: SlotDirectory): ControlError | undefined {
  try {
    takeOwnDirectory(path);
    return undefined;
  } catch (cause) {
    return fileError(cause, path, "the slot's work directory", 'work_directory');
  }
}
