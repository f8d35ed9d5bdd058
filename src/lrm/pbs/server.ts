import type { LrmCapabilities } from '../lrm.ts';
import { capacityOf, type SizedNode } from '../sizes.ts';

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
  /** Of the server: where jobs go that name no queue. */
  readonly defaultQueue?: string | undefined;
}

/** One host. */
export interface PbsNode extends SizedNode {
  readonly name: string;
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
  const { sizes, ...capacity } = capacityOf(nodesOfQueue(site.nodes, name));
  const maxWalltimeSeconds = limits.maxWalltimeSeconds ?? site.server.maxWalltimeSeconds;
  return {
    ...capacity,
    ...(sizes.length > 1 ? { sizes: sizes.toReversed() } : {}),
    ...(maxWalltimeSeconds === undefined ? {} : { maxWalltimeMs: maxWalltimeSeconds * 1_000 }),
    killDelayMs: (limits.killDelaySeconds ?? site.server.killDelaySeconds ?? defaultKillDelaySeconds) * 1_000,
    nodeNameEnv: ['HOSTNAME'],
    jobEndEnv: [],
    walltimeStepMs: 1_000,
  };
}
