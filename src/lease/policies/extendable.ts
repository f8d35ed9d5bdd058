import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { PoolSettings } from '../settings.ts';
import { exactSlot } from './exact.ts';
import { commonKeys, type PolicyKind, type SizedGroups } from './policy.ts';
import { type SlotRequest, walltimeFor } from './slot-request.ts';

const schema = (kit: SectionKit) => {
  const { Type, strict } = kit;
  const { factor } = commonKeys(kit);
  return Type.Object({ kind: Type.Literal('extendable'), factor }, strict);
};

interface ExtendablePolicy {
  readonly kind: 'extendable';
  readonly factor: number;
}

/** See `extendableSlot`. */
export const extendableKind = {
  kind: 'extendable',
  schema,
  read: ({ kind, factor = 1.5 }: EntryOf<typeof schema>): ExtendablePolicy => ({ kind, factor }),
  slot: ({ factor }: ExtendablePolicy, groups, durationMs, settings) =>
    extendableSlot(factor, groups, durationMs, settings),
  vmsPerNode: () => 1,
} satisfies PolicyKind;

/**
 * The policy `extendable`: as `exact`, but the slot is asked for `factor` times as long as the lease, so that the lease can be extended without the LRM. A slot
 * goes with its workspace all the same; what it costs is that the LRM has to find room for a longer job.
 */
export function extendableSlot(
  factor: number,
  groups: SizedGroups,
  durationMs: number,
  settings: PoolSettings,
): SlotRequest {
  // No lease may be longer than the site's longest, so no slot needs to be.
  const slotMs = Math.max(durationMs, Math.min(durationMs * factor, settings.maxDurationMs));
  return { ...exactSlot(groups, durationMs, settings), walltimeMs: walltimeFor(slotMs, settings) };
}
