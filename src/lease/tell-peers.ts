import type { WorkspaceId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import { isFinalVm } from './transitions.ts';
import type { Vm, Workspace } from './model.ts';

/**
 * The VXLANs of a workspace learn nothing from what they receive: they know by us on which node
 * each VM is. A VM that starts brings that with its order to start; the nodes that have VMs already
 * are told when one comes to a workspace that is up, in place of one that was lost, or goes.
 */
export function tellPeers(draft: Draft, id: WorkspaceId): void {
  const before = draft.state.workspaces.get(id);
  const workspace = draft.workspace(id);
  if (!before || !isUp(before) || !isUp(workspace) || before.slotId !== workspace.slotId) return;
  if (Object.keys(workspace.vnis).length === 0) return;
  const vms = draft.vmsOf(id);
  const changed = vms.find(vm => isThere(vm) !== isThere(draft.state.vms.get(vm.id)));
  if (!changed) return;
  const { slotId } = workspace;
  for (const node of new Set(vms.filter(isThere).map(vm => vm.node ?? '')))
    draft.orderPilot(
      slotId,
      node,
      // A VM comes once, and goes once. What is told is how it all is when that is sent.
      `peers:${slotId}:${node}:${changed.id}:${isThere(changed) ? 'come' : 'gone'}`,
      { kind: 'set-peers', workspaceId: id },
    );
}

function isUp({ state }: Workspace): boolean {
  return state === 'deploying' || state === 'running';
}

function isThere(vm: Vm | undefined): boolean {
  return vm !== undefined && vm.node !== null && !isFinalVm(vm.state);
}
