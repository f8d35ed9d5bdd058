import type { WorkspaceId } from '../protocol/ids.ts';
import type { Slot, Workspace } from './model.ts';

/** The workspace that news of a slot is told to: the one that is in it, or was in it last; none of several. */
export function subjectOf(
  slot: Slot,
  find: (id: WorkspaceId) => Workspace | undefined,
): WorkspaceId | undefined {
  const live = slot.workspaceIds.filter(id => find(id)?.state !== 'ended');
  return live.length > 1 ? undefined : (live[0] ?? slot.workspaceIds.at(-1));
}
