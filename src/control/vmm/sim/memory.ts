import type { VmmMemory } from '../../../protocol/vmm-memory.ts';

/** Simulated VMs take nothing of their node. */
export const simMemory: VmmMemory = { fixedMiB: 0, perCpuMiB: 0, guestShare: 0 };
