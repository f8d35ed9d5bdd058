import type { GroupRequest } from '../../protocol/cluster.ts';
import type { LeaseSettings } from '../types.ts';

/**
 * The policy `exact` (paper §2.2): "requests exactly as many physical resources as needed": the smallest slot that fits, one VM per node,
 * released with its workspace.
 */
export interface SlotRequest {
  readonly nodesWanted: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly walltimeMs: number;
}

/** One VM per node. */
export const vmsPerNode = 1;

/** What to ask the LRM for. A gang's nodes are alike, so the largest VM decides. The walltime is never over the queue's limit. */
export function exactSlot(
  groups: readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[],
  durationMs: number,
  settings: LeaseSettings,
): SlotRequest {
  const stepMs = settings.site?.walltimeStepMs ?? 1;
  const maxWalltimeMs = settings.site?.maxWalltimeMs ?? Number.POSITIVE_INFINITY;
  const neededMs = durationMs + settings.walltimePadMs + endMarginMs(settings);
  return {
    nodesWanted: groups.reduce((sum, { count }) => sum + count, 0),
    memoryMiBPerNode: Math.max(...groups.map(({ memoryMiB }) => memoryMiB)) + settings.vmmOverheadMiB,
    cpusPerNode: Math.max(...groups.map(({ cpus }) => cpus)),
    walltimeMs: Math.min(Math.ceil(neededMs / stepMs) * stepMs, maxWalltimeMs),
  };
}

/** Between what the LRM and the pilots call the same moment. */
const clockSlackMs = 2_000;

/**
 * How long before the job's end a lease must be over. Pilots leave their nodes by themselves `killDelayMs + shutdownGraceMs` before that end, so that
 * guests can still shut down; a lease that ends by its own terms has to be first.
 */
export function endMarginMs(settings: LeaseSettings): number {
  return (settings.site?.killDelayMs ?? 0) + settings.shutdownGraceMs + clockSlackMs;
}
