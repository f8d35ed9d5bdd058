import type { NodesOfSize } from './lrm.ts';

/** A node as far as its size is concerned. */
export interface SizedNode {
  readonly memoryMiB: number;
  readonly cpus: number;
  /** It does nothing, and could. */
  readonly idle: boolean;
}

/** What nodes come to: how many there are, of which sizes (the largest first), the most of one. */
export function capacityOf(nodes: readonly SizedNode[]) {
  const sizes = new Map<string, Required<NodesOfSize>>();
  for (const { memoryMiB, cpus, idle } of nodes) {
    const key = `${memoryMiB} ${cpus}`;
    const size = sizes.get(key) ?? { nodes: 0, idleNodes: 0, memoryMiB, cpus };
    sizes.set(key, { ...size, nodes: size.nodes + 1, idleNodes: size.idleNodes + Number(idle) });
  }
  return {
    nodes: nodes.length,
    idleNodes: nodes.filter(({ idle }) => idle).length,
    sizes: [...sizes.values()].toSorted(
      (one, other) => other.memoryMiB - one.memoryMiB || other.cpus - one.cpus,
    ),
    memoryMiBPerNode: Math.max(0, ...nodes.map(({ memoryMiB }) => memoryMiB)),
    cpusPerNode: Math.max(0, ...nodes.map(({ cpus }) => cpus)),
  };
}
