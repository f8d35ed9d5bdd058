import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { packedSlot } from './pack.ts';
import { commonKeys, type PolicyKind, type WarmSlots } from './policy.ts';

const schema = (kit: SectionKit) => {
  const { Type, strict, Memory, Duration } = kit;
  const { vmsPerNode, shared } = commonKeys(kit);
  return Type.Object(
    {
      kind: Type.Literal('warm'),
      slots: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
      nodes: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
      memoryPerNode: Memory,
      cpusPerNode: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_096 })),
      duration: Type.Optional(Duration),
      vmsPerNode,
      shared,
    },
    strict,
  );
};

/**
 * `slots` idle slots are held ready, of this size and for this long; a workspace that does not fit
 * gets a slot of its own.
 */
export interface WarmPolicy extends WarmSlots {
  readonly kind: 'warm';
  readonly vmsPerNode: number;
  readonly shared: boolean;
}

/** Of a warm slot's time: with less than this left it is given back. */
const retiredShare = 0.25;

/** The policy `warm`: see `held.ts`. */
export const warmKind = {
  kind: 'warm',
  schema,
  read(entry: EntryOf<typeof schema>, { memoryMiB, durationMs }): WarmPolicy {
    const { memoryPerNode, duration = '4h', ...given } = entry;
    return {
      slots: 1,
      nodes: 1,
      cpusPerNode: 1,
      vmsPerNode: 1,
      shared: false,
      ...given,
      memoryMiBPerNode: memoryMiB(memoryPerNode, 'memoryPerNode'),
      durationMs: durationMs(duration, 'duration'),
    };
  },
  slot: ({ vmsPerNode }: WarmPolicy, groups, durationMs, settings) =>
    packedSlot(vmsPerNode, groups, durationMs, settings),
  vmsPerNode: ({ vmsPerNode }: WarmPolicy) => vmsPerNode,
  heldFor: ({ shared }: WarmPolicy) => (shared ? 'all' : 'owner'),
  // A warm slot that somebody has been in is theirs: to keep it for them is what `reuse` is for.
  wantedUntil: ({ shared }: WarmPolicy, slot, endsAt, now) =>
    slot.warm && (shared || slot.owner === null) ? endsAt - slot.walltimeMs * retiredShare : now,
  warm: (policy: WarmPolicy) => policy,
} satisfies PolicyKind;
