import { vmmOverheadMiB } from '../protocol/vmm-memory.ts';
import type { MemorySettings, NodeSize } from './settings.ts';

/** What a VM takes of its slot's node: its guest's memory, and what the VMM needs for it. */
export function vmMemoryMiB(vm: NodeSize, { vmm }: MemorySettings): number {
  return vm.memoryMiB + vmmOverheadMiB(vm, vmm);
}

/**
 * The largest guest that fits on a node alone with so many processors, in whole MiB; 0: none does.
 */
export function largestGuestMiB(node: NodeSize, { vmm, pilotMiB }: MemorySettings): number {
  const left = node.memoryMiB - pilotMiB - vmm.fixedMiB - vmm.perCpuMiB * node.cpus;
  return Math.max(0, Math.floor(left / (1 + vmm.guestShare)));
}
