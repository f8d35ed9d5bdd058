import type { Reason } from '../protocol/states.ts';
import { vmIdOf, type WorkspaceId } from '../protocol/ids.ts';
import { isDraining } from './drained-nodes.ts';
import type { Draft } from './draft.ts';
import { startOn } from './deploy.ts';
import { place } from './placement.ts';
import { needOf, roomIn } from './policies/held.ts';
import type { Slot, Vm, Workspace } from './model.ts';

/**
 * What becomes of a running workspace that loses a VM: `fail` ends it; `replace` starts another VM
 * in its place, in the same slot, with the same name and addresses and a fresh disk. When the slot
 * itself is lost, the whole workspace is started anew in another one (`requeue.ts`).
 *
 *   vm failed ─► its place is taken by <id>.1, pending ─► … ─► running        at most `mostReplacements` times for each VM, by `deployDeadlineAt`
 *
 * Invariants: a VM that has failed stays as it is, for the history, and its successor is a VM of its own, so that no late report is taken for one of the other; it is begun only
 * when the pilot has reported that nothing of the first one is left.
 */
export const mostReplacements = 3;

/** Puts other VMs in the place of those that have failed, where that may be done and a node has room. */
export function replaceLost(draft: Draft, id: WorkspaceId): void {
  const { heal, state, slotId } = draft.workspace(id);
  if (heal !== 'replace' || state !== 'running' || draft.slot(slotId).state !== 'ready') return;
  for (const vm of draft.vmsOf(id)) if (isReplaceable(vm)) replace(draft, draft.slot(slotId), vm);
  if (draft.workspace(id).deployDeadlineAt !== null && !draft.vmsOf(id).some(isBeingReplaced))
    draft.putWorkspace({ ...draft.workspace(id), deployDeadlineAt: null });
}

/** Why a workspace ends with a VM of it. */
export function givenUp({ name, node, reason, replaces }: Vm): Reason {
  const why = `VM ${name} on node ${node} failed: ${reason?.message ?? 'no reason given'}`;
  return replaces < mostReplacements
    ? { code: reason?.code ?? 'vm_failed', message: why }
    : { code: 'lost_too_often', message: `${why}; it had been replaced ${replaces} times` };
}

/** Another one in place of one that was lost, and not there yet. */
export function isBeingReplaced({ replaces, state }: Pick<Vm, 'replaces' | 'state'>): boolean {
  return replaces > 0 && (state === 'pending' || state === 'propagating' || state === 'starting');
}

/** A VMM that does not end still has its addresses. */
function isReplaceable({ state, replaces, reason }: Vm): boolean {
  return state === 'failed' && replaces < mostReplacements && reason?.code !== 'vmm_stuck';
}

function replace(draft: Draft, slot: Slot, lost: Vm): void {
  const node = nodeFor(draft, slot, lost);
  if (node === undefined) return;
  const replaces = lost.replaces + 1;
  const workspace = draft.workspace(lost.workspaceId);
  const why = `${lost.name} failed on node ${lost.node}: ${lost.reason?.message ?? 'no reason given'}`;
  const reason = {
    code: 'replaced',
    message: `${why}; replaced on node ${node} (${replaces} of at most ${mostReplacements} times)`,
  };
  draft.recordVm('vm.replaced', lost, reason);
  const id = vmIdOf(workspace.id, lost.group, lost.index, replaces);
  const context = lost.context === 'none' ? 'none' : 'pending';
  draft.putVm({ ...lost, id, replaces, state: 'pending', context, reason, node: null, orders: 0, told: 0 });
  draft.putWorkspace(withSuccessor(workspace, lost.id, id, draft.now + draft.settings.deployTimeoutMs));
  startOn(draft, draft.vm(id), node);
}

function withSuccessor(workspace: Workspace, lost: string, id: string, deployDeadlineAt: number): Workspace {
  const vmIds = workspace.vmIds.map(each => (each === lost ? id : each));
  return { ...workspace, vmIds, deployDeadlineAt };
}

/** Another node, if one has room: what it was lost for may lie with its node. None that an administrator drains. */
function nodeFor(draft: Draft, slot: Slot, lost: Vm): string | undefined {
  const settings = draft.settingsOf(slot);
  const drained = new Set(slot.nodes.filter(isDraining).map(({ name }) => name));
  const rooms = roomIn(slot, draft.vmsIn(slot), settings).filter(({ name }) => !drained.has(name));
  const [others, same] = [
    rooms.filter(({ name }) => name !== lost.node),
    rooms.filter(({ name }) => name === lost.node),
  ];
  return place([needOf(lost, settings)], [...others, ...same])?.get(lost.id);
}
