import { heldAddresses } from './addresses.ts';
import { isFinalSlot, isFinalVm } from './transitions.ts';
import type { SiteState, Workspace } from './types.ts';

/**
 * A workspace that asks for it is started anew after the LRM has taken its slot back, as `sbatch --requeue` does with a job: the same names and addresses, its whole
 * duration, a new slot. Its guests were shut down; what was in their memory is gone.
 *
 *   ending (preempted) ─► all VMs off ─► the job is gone ─► requested, with a new slot        at most `mostRequeues` times
 *                                                      └──► ended: somebody has cancelled the job, or the site can no longer hold the workspace
 *
 * Invariant: until the old job is gone nothing is begun anew, so no VM of the workspace runs twice; its addresses are nobody else's meanwhile.
 */
export const mostRequeues = 3;

/** Whether a workspace that is ending will be started anew when its slot is gone. */
export function isToBeRequeued({ state, cause, requeue, requeues }: Workspace): boolean {
  return state === 'ending' && cause === 'preempted' && requeue && requeues < mostRequeues;
}

/** Whether that can be done now. */
export function isRequeueDue(state: SiteState, workspace: Workspace): boolean {
  if (!isToBeRequeued(workspace)) return false;
  const slot = state.slots.get(workspace.slotId);
  return (
    slot !== undefined &&
    isFinalSlot(slot.state) &&
    workspace.vmIds.every(id => isFinalVm(state.vms.get(id)?.state ?? 'terminated'))
  );
}

/** The addresses that nobody may be given: those of live VMs, and of VMs that will be started anew. */
export function addressesInUse(state: SiteState): Set<string> {
  const held = heldAddresses(state.vms.values());
  for (const workspace of state.workspaces.values()) {
    if (!isToBeRequeued(workspace)) continue;
    for (const id of workspace.vmIds)
      for (const { address } of state.vms.get(id)?.nics ?? []) held.add(address);
  }
  return held;
}
