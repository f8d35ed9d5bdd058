import type { GroupRequest } from '../../protocol/cluster.ts';
import type { LeaseSettings } from '../types.ts';
import { exactSlot } from './exact.ts';
import { extendableSlot } from './extendable.ts';
import { packedSlot } from './pack.ts';
import type { SlotRequest } from './slot-request.ts';

/** Which slots are asked for, and how VMs map to them (DESIGN §8): chosen in the site file. docs/policies.md has what each costs. */
export type Policy =
  | { readonly kind: 'exact' }
  | { readonly kind: 'pack'; readonly vmsPerNode: number }
  | { readonly kind: 'extendable'; readonly factor: number };

/** The slot for groups that are to be leased together. */
export function slotFor(
  groups: readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[],
  durationMs: number,
  settings: LeaseSettings,
): SlotRequest {
  const { policy } = settings;
  switch (policy.kind) {
    case 'exact':
      return exactSlot(groups, durationMs, settings);
    case 'pack':
      return packedSlot(policy.vmsPerNode, groups, durationMs, settings);
    case 'extendable':
      return extendableSlot(policy.factor, groups, durationMs, settings);
  }
}

/** How many VMs a node may have. */
export function vmsPerNode(policy: Policy): number {
  return policy.kind === 'pack' ? policy.vmsPerNode : 1;
}
