import type { NodeSize } from './settings.ts';

/**
 * Placement (paper §2.2): VMs are mapped onto a slot's nodes greedily, in order, each to the first node with room.
 */
export interface NodeRoom extends NodeSize {
  readonly name: string;
  /** How many VMs it may have at most. */
  readonly vms: number;
}

/** What a VM takes of its node, with the VMM's overhead. */
export interface VmNeed extends NodeSize {
  readonly id: string;
}

/** VM id → node name for all of them, or undefined when not all fit: an ensemble runs whole or not at all. */
export function place(
  vms: readonly VmNeed[],
  nodes: readonly NodeRoom[],
): ReadonlyMap<string, string> | undefined {
  const left = nodes.map(node => ({ ...node }));
  const placed = new Map<string, string>();
  for (const vm of vms) {
    const node = left.find(room => room.vms > 0 && room.memoryMiB >= vm.memoryMiB && room.cpus >= vm.cpus);
    if (!node) return undefined;
    node.vms -= 1;
    node.memoryMiB -= vm.memoryMiB;
    node.cpus -= vm.cpus;
    placed.set(vm.id, node.name);
  }
  return placed;
}
