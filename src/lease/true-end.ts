import type { SlotId } from '../protocol/ids.ts';
import type { EndCause, Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import type { ObservedJob, Slot, Workspace } from './model.ts';
import { causeOfTaking, walltimeCode } from './walltime.ts';

/**
 * How a workspace ended is what the LRM says of its job's end. Pilots hear signals only, which a
 * preemption, a deletion, a lost node and
 * anybody with the right to send one give alike: what they make of it is a first guess, and is
 * corrected here, also when the workspace has ended by then.
 */
const guesses: ReadonlySet<string> = new Set(['lrm_signal', 'preempted', 'node_left', 'pilot_lost']);

/** `reason`: the job's end in words. Called before the slot is gone. */
export function tellTrueEnd(draft: Draft, slotId: SlotId, end: ObservedJob['state'], reason: Reason): void {
  const slot = draft.slot(slotId);
  for (const id of slot.workspaceIds) {
    const workspace = draft.findWorkspace(id);
    if (workspace?.slotId !== slotId || (workspace.state !== 'ending' && workspace.state !== 'ended'))
      continue;
    if (workspace.reason === null || !guesses.has(workspace.reason.code)) continue;
    const why = end === 'timeout' ? { code: walltimeCode, message: reason.message } : reason;
    const cause = trueCause(workspace, slot, end, why);
    if (cause === undefined || (cause === workspace.cause && end === 'preempted')) continue;
    // The job is gone: there is nothing to wait for any more.
    const endingDeadlineAt = workspace.state === 'ending' ? draft.now : null;
    draft.putWorkspace({ ...workspace, cause, reason: why, endingDeadlineAt });
    draft.record('workspace.end-known', { workspaceId: id, slotId, reason: why });
  }
}

/** Undefined: the job's end tells no more than the guess. */
function trueCause(
  workspace: Workspace,
  { cancelOrdered }: Slot,
  end: ObservedJob['state'],
  reason: Reason,
): EndCause | undefined {
  switch (end) {
    case 'cancelled':
      return cancelOrdered ? undefined : 'cancelled';
    case 'preempted':
      return 'preempted';
    case 'timeout':
      return causeOfTaking(workspace, reason);
    case 'node-failed':
      return 'failed';
    default:
      return undefined;
  }
}
