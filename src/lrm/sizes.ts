import type { NodesOfSize } from './lrm.ts';

/** A node as far as its size is concerned. */
export interface SizedNode {
  readonly memoryMiB: number;
  readonly cpus: number;
  /** It does nothing, and could. */
  readonly idle: boolean;
}

/** Nodes that are alike together, with how many there are; the largest first. */
export function bySize(nodes: readonly SizedNode[]): readonly NodesOfSize[] {
  const sizes = new Map<string, Required<NodesOfSize>>();
  for (const { memoryMiB, cpus, idle } of nodes) {
    const key = `${memoryMiB} ${cpus}`;
    const size = sizes.get(key) ?? { nodes: 0, idleNodes: 0, memoryMiB, cpus };
    sizes.set(key, { ...size, nodes: size.nodes + 1, idleNodes: size.idleNodes + Number(idle) });
  }
  return [...sizes.values()].toSorted(
    (one, other) => other.memoryMiB - one.memoryMiB || other.cpus - one.cpus,
  );
}
