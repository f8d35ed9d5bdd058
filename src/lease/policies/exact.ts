import type { GroupRequest } from '../../protocol/cluster.ts';
import { vmMemoryMiB } from '../memory.ts';
import type { PoolSettings } from '../types.ts';
import { type SlotRequest, walltimeFor } from './slot-request.ts';

/**
 * The policy `exact` (paper §2.2): "requests exactly as many physical resources as needed": the smallest slot that fits, one VM per node,
 * released with its workspace. The largest VM decides on the nodes.
 */
export function exactSlot(
  groups: readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[],
  durationMs: number,
  settings: PoolSettings,
): SlotRequest {
  return {
    nodesWanted: groups.reduce((sum, { count }) => sum + count, 0),
    memoryMiBPerNode:
      Math.max(...groups.map(group => vmMemoryMiB(group, settings.memory))) + settings.memory.pilotMiB,
    cpusPerNode: Math.max(...groups.map(({ cpus }) => cpus)),
    walltimeMs: walltimeFor(durationMs, settings),
  };
}
