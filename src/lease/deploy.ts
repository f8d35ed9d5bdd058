import type { WorkspaceId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import type { Vm } from './model.ts';

/** Orders all VMs of a workspace to be started at once, each where the placement has it. */
export function deploy(draft: Draft, id: WorkspaceId, placement: ReadonlyMap<string, string>): void {
  draft.moveWorkspace(id, 'deploying', {
    patch: { deployDeadlineAt: draft.now + draft.settings.deployTimeoutMs },
  });
  for (const vm of draft.vmsOf(id)) {
    const node = placement.get(vm.id) ?? null;
    if (node !== null) startOn(draft, vm, node);
  }
}

/** Orders a VM to be started on a node. */
export function startOn(draft: Draft, vm: Vm, node: string): void {
  const placed = { ...vm, node };
  draft.putVm(placed);
  draft.recordVm('vm.placed', placed, null);
  draft.orderPilot(vm.slotId, node, `start:${vm.slotId}:${vm.id}`, { kind: 'start-vm', vmId: vm.id });
}
