import { heldAddresses } from './addresses.ts';
import { isFinalSlot, isFinalVm } from './transitions.ts';
import type { SiteState, Workspace } from './model.ts';

/**
 * A workspace that asks for it is started anew after the LRM has taken its slot back (`requeue`), as `sbatch --requeue` does with a job, or after its slot was lost while it ran
 * (`heal: replace`): the same names and addresses, its whole duration, a new slot. What was in its guests' memory is gone.
 *
 *   ending (preempted, failed) ─► all VMs off ─► the job is gone ─► requested, with a new slot        at most `mostRequeues` times
 *                                                              └──► ended: somebody has cancelled the job, or the site can no longer hold the workspace
 *
 * Invariant: until the old job and its pilots are gone, or all of the workspace's VMs are off in a slot that goes on without it, nothing is begun anew, so no VM of the
 * workspace runs twice; its addresses are nobody else's meanwhile.
 */
export const mostRequeues = 3;

/** The reason's code of a job that has lost a node: its slot was taken, too. */
const nodeFailedCode = 'lrm_node-failed';

/** Whether a workspace that is ending will be started anew when its slot is gone. */
export function isToBeRequeued(workspace: Workspace): boolean {
  const { state, cause, requeue, requeues } = workspace;
  const taken = cause === 'preempted' || (cause === 'failed' && workspace.reason?.code === nodeFailedCode);
  const asksForIt = (taken && requeue) || (cause === 'failed' && isToBeHealed(workspace));
  return state === 'ending' && asksForIt && requeues < mostRequeues;
}

/** Ends of a job that was to end; of a VM that goes on failing; and of a job whose VMs may be there for all that the LRM knows. */
const notHealed = ['lrm_timeout', 'lrm_completed', 'lrm_lost', 'vmm_stuck', 'lost_too_often'];

/** It ran, and what it ran on was lost. */
function isToBeHealed({ heal, startsAt, reason }: Workspace): boolean {
  return heal === 'replace' && startsAt !== null && !notHealed.includes(reason?.code ?? '');
}

/** Whether it may come to that. */
function mayBeStartedAnew(workspace: Workspace): boolean {
  const { state, requeue, heal } = workspace;
  if (state === 'ending') return isToBeRequeued(workspace);
  return state !== 'ended' && (requeue || heal === 'replace');
}

/** Whether that can be done now. */
export function isRequeueDue(state: SiteState, workspace: Workspace): boolean {
  if (!isToBeRequeued(workspace)) return false;
  const slot = state.slots.get(workspace.slotId);
  if (slot === undefined || !workspace.vmIds.every(id => isFinalVm(state.vms.get(id)?.state ?? 'terminated')))
    return false;
  // The LRM may call a job over whose pilots are there.
  const gone = isFinalSlot(slot.state) && !slot.nodes.some(({ connected }) => connected);
  return gone || slot.state === 'ready';
}

/** The addresses that nobody may be given: those of live VMs, and of VMs that are off and may be started anew. */
export function addressesInUse(state: SiteState): Set<string> {
  const held = heldAddresses(state.vms.values());
  for (const workspace of state.workspaces.values()) {
    if (!mayBeStartedAnew(workspace)) continue;
    for (const id of workspace.vmIds)
      for (const { address } of state.vms.get(id)?.nics ?? []) held.add(address);
  }
  return held;
}
