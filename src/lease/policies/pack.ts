import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { vmMemoryMiB } from '../memory.ts';
import { type NodeRoom, place, type VmNeed } from '../placement.ts';
import type { NodeSize, PoolSettings } from '../settings.ts';
import { exactSlot } from './exact.ts';
import { commonKeys, type PolicyKind, type SizedGroups } from './policy.ts';
import { type SlotRequest, walltimeFor } from './slot-request.ts';

const schema = (kit: SectionKit) => {
  const { Type, strict } = kit;
  const { vmsPerNode } = commonKeys(kit);
  return Type.Object({ kind: Type.Literal('pack'), vmsPerNode }, strict);
};

interface PackPolicy {
  readonly kind: 'pack';
  readonly vmsPerNode: number;
}

/** See `packedSlot`. */
export const packKind = {
  kind: 'pack',
  schema,
  read: ({ kind, vmsPerNode = 64 }: EntryOf<typeof schema>): PackPolicy => ({ kind, vmsPerNode }),
  slot: ({ vmsPerNode }: PackPolicy, groups, durationMs, settings) =>
    packedSlot(vmsPerNode, groups, durationMs, settings),
  vmsPerNode: ({ vmsPerNode }: PackPolicy) => vmsPerNode,
} satisfies PolicyKind;

/**
 * The policy `pack`: several VMs per node, at most `vmsPerNode`, on as few nodes as the placement itself finds room on. Of a node it asks for no more than
 * its share of the VMs, so that the rest of the node stays the LRM's. While the LRM has not said what its nodes are, it is `exact`.
 */
export function packedSlot(
  vmsPerNode: number,
  groups: SizedGroups,
  durationMs: number,
  settings: PoolSettings,
): SlotRequest {
  const { site } = settings;
  const { pilotMiB } = settings.memory;
  const exact = exactSlot(groups, durationMs, settings);
  if (!site) return exact;
  const vms = needs(groups, settings);
  const rooms = (count: number, memoryMiB: number, cpus: number): NodeRoom[] =>
    Array.from({ length: count }, (_, index) => ({ name: String(index), memoryMiB, cpus, vms: vmsPerNode }));
  for (let count = Math.ceil(vms.length / vmsPerNode); count < vms.length; count++) {
    const placed = place(vms, rooms(count, site.memoryMiBPerNode - pilotMiB, site.cpusPerNode));
    if (!placed) continue;
    const { memoryMiB, cpus } = largestLoad(vms, placed);
    // On nodes no larger than the largest load the greedy placement may go another way: then it gets whole ones.
    const fits = place(vms, rooms(count, memoryMiB, cpus)) !== undefined;
    return {
      nodesWanted: count,
      memoryMiBPerNode: fits ? memoryMiB + pilotMiB : site.memoryMiBPerNode,
      cpusPerNode: fits ? cpus : site.cpusPerNode,
      walltimeMs: walltimeFor(durationMs, settings),
    };
  }
  return exact;
}

/** The VMs of the groups, in their order. */
function needs(groups: SizedGroups, settings: PoolSettings): readonly VmNeed[] {
  return groups.flatMap((group, number) =>
    Array.from({ length: group.count }, (_, index) => ({
      id: `${number}-${index}`,
      memoryMiB: vmMemoryMiB(group, settings.memory),
      cpus: group.cpus,
    })),
  );
}

function largestLoad(vms: readonly VmNeed[], placed: ReadonlyMap<string, string>): NodeSize {
  const loads = new Map<string, NodeSize>();
  for (const vm of vms) {
    const node = placed.get(vm.id) ?? '';
    const load = loads.get(node) ?? { memoryMiB: 0, cpus: 0 };
    loads.set(node, { memoryMiB: load.memoryMiB + vm.memoryMiB, cpus: load.cpus + vm.cpus });
  }
  const all = [...loads.values()];
  return {
    memoryMiB: Math.max(...all.map(({ memoryMiB }) => memoryMiB)),
    cpus: Math.max(...all.map(({ cpus }) => cpus)),
  };
}
