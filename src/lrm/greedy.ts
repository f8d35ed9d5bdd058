/** Where the jobs of an LRM of our own go: first come, first served, on the first nodes with room. None overtakes. */

/** A node and what it has, or has left. */
export interface Room {
  readonly name: string;
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** What a gang takes of each of its nodes. */
export interface Gang {
  readonly nodes: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
}

/** What is left of nodes on which these gangs are. `on`: the names of a gang's nodes. */
export function roomLeft(
  nodes: readonly Room[],
  gangs: readonly { readonly gang: Gang; readonly on: readonly string[] }[],
): readonly Room[] {
  return nodes.map(node => {
    const here = gangs.filter(({ on }) => on.includes(node.name));
    return {
      name: node.name,
      memoryMiB: here.reduce((left, { gang }) => left - gang.memoryMiBPerNode, node.memoryMiB),
      cpus: here.reduce((left, { gang }) => left - gang.cpusPerNode, node.cpus),
    };
  });
}

/** The nodes for a gang; undefined when it does not fit now. */
export function nodesFor(gang: Gang, room: readonly Room[]): readonly string[] | undefined {
  const fitting = room.filter(
    ({ memoryMiB, cpus }) => memoryMiB >= gang.memoryMiBPerNode && cpus >= gang.cpusPerNode,
  );
  return fitting.length < gang.nodes ? undefined : fitting.slice(0, gang.nodes).map(({ name }) => name);
}
