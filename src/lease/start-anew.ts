import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import { askForSlot, firstContext } from './launch.ts';
import { bestPool, possiblePools } from './pools.ts';
import { mostRequeues } from './requeue.ts';
import type { Slot, Workspace } from './model.ts';
import { endIfOff } from './workspace.ts';

/** Nothing is started anew: the workspace ends with the cause that it has. */
export function forgoRequeue(draft: Draft, id: WorkspaceId): void {
  draft.putWorkspace({ ...draft.workspace(id), requeue: false, heal: 'fail' });
  endIfOff(draft, id);
}

/** Asks for a slot named `slotId` in place of the one that is gone. */
export function startAnew(draft: Draft, id: WorkspaceId, slotId: SlotId): void {
  const before = draft.workspace(id);
  const possible = possiblePools(draft, before);
  if (wasMeant(before, draft.slot(before.slotId)) || 'code' in possible) return forgoRequeue(draft, id);
  for (const vm of draft.vmsOf(id)) {
    // Another life under the same name: nothing of the first one's state goes on.
    const context = firstContext(vm.image, draft.settings);
    draft.putVm({ ...vm, slotId, state: 'pending', context, reason: null, node: null });
  }
  const requeues = before.requeues + 1;
  const message = `${before.reason?.message ?? before.cause}; started anew in a new slot (${requeues} of at most ${mostRequeues} times)`;
  const lease = {
    cause: null,
    startsAt: null,
    endsAt: null,
    suspendedMs: 0,
    endingDeadlineAt: null,
    deployDeadlineAt: null,
  };
  // A latest start that was kept once is not asked for again.
  draft.putWorkspace({ ...before, ...lease, slotId, requeues, startBy: null, noticesGivenMs: [] });
  draft.moveWorkspace(id, 'requested', { reason: { code: 'requeued', message } });
  askForSlot(draft, slotId, bestPool(draft, possible), {
    workspaceIds: [id],
    owner: before.owner,
    warm: false,
  });
}

/** A job that somebody has cancelled, or that has had all of its time, was not preempted; its pilots were sent the same signal. One that was given up we have cancelled. */
function wasMeant({ cause }: Workspace, { lrmState, cancelOrdered }: Slot): boolean {
  return cause === 'preempted' && ((lrmState === 'cancelled' && !cancelOrdered) || lrmState === 'timeout');
}
