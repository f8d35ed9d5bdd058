/**
 * What a VMM takes of its node's memory for one VM beside the guest's own, as measured
 * (`bench/memory.ts`): `fixedMiB + perCpuMiB × processors + guestShare × the guest's memory`.
 */
export interface VmmMemory {
  readonly fixedMiB: number;
  readonly perCpuMiB: number;
  /** Of the guest's memory: page tables and translation caches grow with it. */
  readonly guestShare: number;
}

/** The two sizes of a VM that decide what it takes of its node. */
interface VmSize {
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** What the VMM takes for a VM of that size, in whole MiB. */
export function vmmOverheadMiB(
  { memoryMiB, cpus }: VmSize,
  { fixedMiB, perCpuMiB, guestShare }: VmmMemory,
): number {
  return Math.ceil(fixedMiB + perCpuMiB * cpus + guestShare * memoryMiB);
}
