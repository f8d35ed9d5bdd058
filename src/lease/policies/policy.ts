import type { GroupRequest } from '../../protocol/cluster.ts';
import type { PoolSettings } from '../types.ts';
import { exactSlot } from './exact.ts';
import { extendableSlot } from './extendable.ts';
import { packedSlot } from './pack.ts';
import type { SlotRequest } from './slot-request.ts';

/** Which slots are asked for, and how VMs map to them (DESIGN §8): chosen in the site file. docs/policies.md has what each costs. */
export type Policy =
  | { readonly kind: 'exact' }
  | { readonly kind: 'pack'; readonly vmsPerNode: number }
  | { readonly kind: 'extendable'; readonly factor: number }
  | ReusePolicy
  | WarmPolicy;

/** Slots are kept for `keepMs` after their last workspace; `shared`: for whoever comes, else for the same owner. */
export interface ReusePolicy {
  readonly kind: 'reuse';
  readonly keepMs: number;
  readonly factor: number;
  readonly vmsPerNode: number;
  readonly shared: boolean;
}

/** `slots` idle slots are held ready, of this size and for this long; a workspace that does not fit gets a slot of its own. */
export interface WarmPolicy {
  readonly kind: 'warm';
  readonly slots: number;
  readonly nodes: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly durationMs: number;
  readonly vmsPerNode: number;
  readonly shared: boolean;
}

/** The slot for groups that are to be leased together. */
export function slotFor(
  groups: readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[],
  durationMs: number,
  settings: PoolSettings,
): SlotRequest {
  const { policy } = settings;
  switch (policy.kind) {
    case 'exact':
      return exactSlot(groups, durationMs, settings);
    case 'pack':
      return packedSlot(policy.vmsPerNode, groups, durationMs, settings);
    case 'extendable':
      return extendableSlot(policy.factor, groups, durationMs, settings);
    case 'reuse': {
      const { walltimeMs } = extendableSlot(policy.factor, groups, durationMs, settings);
      return { ...packedSlot(policy.vmsPerNode, groups, durationMs, settings), walltimeMs };
    }
    case 'warm':
      return packedSlot(policy.vmsPerNode, groups, durationMs, settings);
  }
}

/** How many VMs a node may have. */
export function vmsPerNode(policy: Policy): number {
  return policy.kind === 'exact' || policy.kind === 'extendable' ? 1 : policy.vmsPerNode;
}
