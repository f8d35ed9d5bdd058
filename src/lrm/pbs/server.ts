import type { LrmCapabilities } from '../lrm.ts';
import { bySize } from '../sizes.ts';

/** What a server says of its queues and nodes, of either dialect. */
export interface PbsSite {
  readonly defaultQueue: string | undefined;
  /** The server's own limits; a queue's go before them. */
  readonly server: PbsLimits;
  readonly queues: ReadonlyMap<string, PbsLimits>;
  readonly nodes: readonly PbsNode[];
}

/** Limits of a queue or of the server; undefined: none is set. */
export interface PbsLimits {
  readonly maxWalltimeSeconds: number | undefined;
  readonly killDelaySeconds: number | undefined;
  /** Takes jobs. */
  readonly isEnabled: boolean;
}

/** One host. */
export interface PbsNode {
  readonly name: string;
  /** Does nothing, and could. */
  readonly isIdle: boolean;
  readonly cpus: number;
  readonly memoryMiB: number;
  /** The only queue that it serves; undefined: all. */
  readonly queue: string | undefined;
}

/** The hosts that jobs of a queue may have. */
export function nodesOfQueue(nodes: readonly PbsNode[], queue: string | undefined): readonly PbsNode[] {
  return nodes.filter(node => node.queue === undefined || queue === undefined || node.queue === queue);
}

/**
 * A site as capabilities. A job is told its end by nobody: its time is from its start. Our job script sets HOSTNAME on every node.
 * Undefined when the server does not know the queue.
 */
export function capabilitiesOf(
  site: PbsSite,
  queue: string | undefined,
  defaultKillDelaySeconds: number,
): LrmCapabilities | undefined {
  const name = queue ?? site.defaultQueue;
  const limits = name === undefined ? site.server : site.queues.get(name);
  if (limits === undefined) return undefined;
  const nodes = nodesOfQueue(site.nodes, name);
  const maxWalltimeSeconds = limits.maxWalltimeSeconds ?? site.server.maxWalltimeSeconds;
  const sizes = bySize(nodes.map(node => ({ ...node, idle: node.isIdle }))).toReversed();
  const most = (values: readonly number[]): number => Math.max(0, ...values);
  return {
    nodes: nodes.length,
    idleNodes: nodes.filter(({ isIdle }) => isIdle).length,
    ...(sizes.length > 1 ? { sizes } : {}),
    memoryMiBPerNode: most(nodes.map(({ memoryMiB }) => memoryMiB)),
    cpusPerNode: most(nodes.map(({ cpus }) => cpus)),
    ...(maxWalltimeSeconds === undefined ? {} : { maxWalltimeMs: maxWalltimeSeconds * 1_000 }),
    killDelayMs: (limits.killDelaySeconds ?? site.server.killDelaySeconds ?? defaultKillDelaySeconds) * 1_000,
    nodeNameEnv: ['HOSTNAME'],
    jobEndEnv: [],
    walltimeStepMs: 1_000,
  };
}
