import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { extendableSlot } from './extendable.ts';
import { packedSlot } from './pack.ts';
import { commonKeys, type PolicyKind } from './policy.ts';

const schema = (kit: SectionKit) => {
  const { Type, strict, Duration } = kit;
  const { factor, vmsPerNode, shared } = commonKeys(kit);
  return Type.Object(
    { kind: Type.Literal('reuse'), keep: Type.Optional(Duration), factor, vmsPerNode, shared },
    strict,
  );
};

/** Slots are kept for `keepMs` after their last workspace; `shared`: for whoever comes, else for the same owner. */
export interface ReusePolicy {
  readonly kind: 'reuse';
  readonly keepMs: number;
  readonly factor: number;
  readonly vmsPerNode: number;
  readonly shared: boolean;
}

/** The policy `reuse`: see `held.ts`. */
export const reuseKind = {
  kind: 'reuse',
  schema,
  read(entry: EntryOf<typeof schema>, { durationMs }): ReusePolicy {
    const { kind, keep = '10m', factor = 2, vmsPerNode = 1, shared = false } = entry;
    return { kind, keepMs: durationMs(keep, 'keep'), factor, vmsPerNode, shared };
  },
  slot({ factor, vmsPerNode }: ReusePolicy, groups, durationMs, settings) {
    const { walltimeMs } = extendableSlot(factor, groups, durationMs, settings);
    return { ...packedSlot(vmsPerNode, groups, durationMs, settings), walltimeMs };
  },
  vmsPerNode: ({ vmsPerNode }: ReusePolicy) => vmsPerNode,
  heldFor: ({ shared }: ReusePolicy) => (shared ? 'all' : 'owner'),
  wantedUntil: ({ keepMs }: ReusePolicy, { deadlineAt }, _endsAt, now) => deadlineAt ?? now + keepMs,
} satisfies PolicyKind;
