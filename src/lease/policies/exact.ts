import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { vmMemoryMiB } from '../memory.ts';
import type { PoolSettings } from '../settings.ts';
import type { PolicyKind, SizedGroups } from './policy.ts';
import { type SlotRequest, walltimeFor } from './slot-request.ts';

const schema = ({ Type, strict }: SectionKit) => Type.Object({ kind: Type.Literal('exact') }, strict);

interface ExactPolicy {
  readonly kind: 'exact';
}

/** See `exactSlot`. */
export const exactKind = {
  kind: 'exact',
  schema,
  read: ({ kind }: EntryOf<typeof schema>): ExactPolicy => ({ kind }),
  slot: (_policy: ExactPolicy, groups, durationMs, settings) => exactSlot(groups, durationMs, settings),
  vmsPerNode: () => 1,
} satisfies PolicyKind;

/**
 * The policy `exact` (paper §2.2): "requests exactly as many physical resources as needed": the smallest slot that fits, one VM per node,
 * released with its workspace. The largest VM decides on the nodes.
 */
export function exactSlot(groups: SizedGroups, durationMs: number, settings: PoolSettings): SlotRequest {
  return {
    nodesWanted: groups.reduce((sum, { count }) => sum + count, 0),
    memoryMiBPerNode:
      Math.max(...groups.map(group => vmMemoryMiB(group, settings.memory))) + settings.memory.pilotMiB,
    cpusPerNode: Math.max(...groups.map(({ cpus }) => cpus)),
    walltimeMs: walltimeFor(durationMs, settings),
  };
}
