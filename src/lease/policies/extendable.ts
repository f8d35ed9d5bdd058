import type { GroupRequest } from '../../protocol/cluster.ts';
import type { PoolSettings } from '../types.ts';
import { exactSlot } from './exact.ts';
import { type SlotRequest, walltimeFor } from './slot-request.ts';

/**
 * The policy `extendable`: as `exact`, but the slot is asked for `factor` times as long as the lease, so that the lease can be extended without the LRM. A slot
 * goes with its workspace all the same; what it costs is that the LRM has to find room for a longer job.
 */
export function extendableSlot(
  factor: number,
  groups: readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[],
  durationMs: number,
  settings: PoolSettings,
): SlotRequest {
  // No lease may be longer than the site's longest, so no slot needs to be.
  const slotMs = Math.max(durationMs, Math.min(durationMs * factor, settings.maxDurationMs));
  return { ...exactSlot(groups, durationMs, settings), walltimeMs: walltimeFor(slotMs, settings) };
}
