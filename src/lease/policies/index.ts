import { memberOf } from '../../protocol/member.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../protocol/section.ts';
import type { PolicySettings, PoolSettings } from '../settings.ts';
import { exactKind } from './exact.ts';
import { extendableKind } from './extendable.ts';
import { packKind } from './pack.ts';
import type { PolicyKind, SizedGroups } from './policy.ts';
import { reuseKind } from './reuse.ts';
import type { SlotRequest } from './slot-request.ts';
import { warmKind } from './warm.ts';

/** The table of all members of the family: a new one is its file and its line here. */
const table = [exactKind, packKind, extendableKind, reuseKind, warmKind] as const;
const policies: readonly PolicyKind[] = table;

/** Which slots are asked for, and how VMs map to them: chosen in the site file. */
export type Policy = ReturnType<(typeof table)[number]['read']>;

/** What a section of each kind may hold. */
export function policySchemas(kit: SectionKit): SectionSchema[] {
  return policies.map(policy => policy.schema(kit));
}

/** What becomes of a section of the site file. */
export function readPolicy(entry: { readonly kind: string }, reader: SectionReader): Policy {
  return policyKind(entry).read(entry, reader) as Policy;
}

/** The member that a section, or what has become of it, is of. Throws when there is none. */
export function policyKind({ kind }: { readonly kind: string }): PolicyKind {
  return memberOf(policies, kind, 'policy');
}

/** The slot for groups that are to be leased together. */
export function slotFor(groups: SizedGroups, durationMs: number, settings: PoolSettings): SlotRequest {
  const { policy } = settings;
  return policyKind(policy).slot(policy, groups, durationMs, settings);
}

/** How many VMs a node may have. */
export function vmsPerNode(policy: PolicySettings): number {
  return policyKind(policy).vmsPerNode(policy);
}
