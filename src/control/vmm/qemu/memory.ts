import type { VmmMemory } from '../../../protocol/vmm-memory.ts';

/**
 * The most that QEMU keeps of translated code under TCG (`tb-size`), in MiB. Its own choice is 1
 * GiB, which a guest fills that
 * runs enough code, or reboots often enough; a full buffer is emptied and filled again.
 */
export const tcgBufferMiB = 64;

/**
 * Measured with QEMU 7.2 (`bench/memory.ts`): heap and devices 22 MiB, its program's pages some 20,
 * a processor 3, page tables (the host's, and KVM's or TCG's for the guest) 6 of each GiB; the rest
 * is margin. `auto` may come out as TCG on any node.
 */
export function qemuMemory(accelerator: 'auto' | 'kvm' | 'tcg'): VmmMemory {
  return {
    fixedMiB: 48 + (accelerator === 'kvm' ? 0 : tcgBufferMiB),
    perCpuMiB: 4,
    guestShare: 1 / 64,
  };
}
