import type { VmmMemory } from '../protocol/vmm-memory.ts';
import type { ImageManifest } from '../protocol/image.ts';

/** What the site decides about leases, and what its LRMs have said that they can give. */

/** A network of the site as the core sees it: a pool of addresses to give out. */
export interface NetworkPool {
  readonly name: string;
  /** First and last address to give out, dotted quads. */
  readonly firstAddress: string;
  readonly lastAddress: string;
  /** Numbers of VXLANs, one for each workspace in the network; null: it is none. */
  readonly vnis: { readonly first: number; readonly last: number } | null;
}

/** What does not change while the service runs, and what the LRM said that the site has. */
export interface LeaseSettings {
  readonly networks: readonly NetworkPool[];
  readonly defaultNetwork: string | null;
  readonly quotas: Quotas;
  /** In order of preference; one at least. */
  readonly pools: readonly Pool[];
  /** `agent`: its guests report their context. */
  readonly images: readonly Pick<ImageManifest, 'name' | 'agent' | 'minMemoryMiB'>[];
  readonly defaultDurationMs: number;
  readonly maxDurationMs: number;
  /** Added to the lease in the walltime: for deploying before it and for releasing after it. */
  readonly walltimePadMs: number;
  readonly shutdownGraceMs: number;
  /** How long before its end a lease's owner and guests are told; longest first. */
  readonly endNoticesMs: readonly number[];
  /** From the first submission that the LRM did not take until it must have taken one. */
  readonly submitTimeoutMs: number;
  /** From the job's start until a pilot must have reported, and from the first report until all must have. */
  readonly reserveTimeoutMs: number;
  /** A pilot of a ready slot that is not connected for so long is taken as lost, and its node's VMs with it. */
  readonly pilotSilenceMs: number;
  /** What becomes of leases on a node that an administrator drains. */
  readonly drain: DrainPolicy;
  /** What becomes of leases whose job the LRM suspends. */
  readonly suspended: SuspendedPolicy;
  /** From the slot being ready until every VM must run. */
  readonly deployTimeoutMs: number;
  /** From the order to release until the LRM job must be gone; then the job is cancelled. */
  readonly releaseTimeoutMs: number;
  /** From the end of a workspace and its slot until they leave memory (`retire.ts`). */
  readonly retireAfterMs: number;
}

/** Memory and processors of a node, or of what is free on one. */
export interface NodeSize {
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** What a pool's LRM has said that it can give. */
export interface PoolSize {
  readonly nodes: number;
  /** Every size of node, with how many there are; null: all nodes are alike. */
  readonly sizes: readonly (NodeSize & { readonly nodes: number })[] | null;
  /** The most that one node has. */
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly maxWalltimeMs: number | null;
  readonly walltimeStepMs: number;
  /**
   * From the LRM's warning signal to its SIGKILL: pilots leave this long before the job's end, and
   * so must leases.
   */
  readonly killDelayMs: number;
  /**
   * What is free on each node, of an LRM that is all ours and tells; null: jobs wait in a queue,
   * for how long nobody knows.
   */
  readonly free: readonly NodeSize[] | null;
}

/**
 * Nodes that are asked for in one way: an LRM (batch scheduler or static nodes), what it can give,
 * and the policy for it.
 */
export interface Pool {
  readonly name: string;
  readonly policy: PolicySettings;
  /** Networks that its nodes reach; null: all of the site's. */
  readonly reaches: readonly string[] | null;
  /** What its VMM and a pilot take of a node's memory beside the guests. */
  readonly memory: MemorySettings;
  /** Null until the LRM has answered once: then nothing can be checked yet, and nothing is refused for size. */
  readonly site: PoolSize | null;
}

/** The settings as they are for one pool's slots. */
export type PoolSettings = LeaseSettings & Pick<Pool, 'policy' | 'memory' | 'site'>;

/** The settings for one pool's slots. A pool that the site does not have any more: nothing is asked of it. */
export function inPool(settings: LeaseSettings, name: string): PoolSettings {
  const { policy, memory, site } = settings.pools.find(pool => pool.name === name) ?? gone;
  return { ...settings, policy, memory, site };
}

const gone: Pick<Pool, 'policy' | 'memory' | 'site'> = {
  policy: { kind: 'exact' },
  memory: { vmm: { fixedMiB: 0, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 0 },
  site: null,
};

/** What becomes of leases on a node that an administrator drains (`drain.ts`). */
export type DrainPolicy = 'wait' | 'leave';

/** What becomes of leases whose job the LRM suspends (`suspension.ts`). */
export type SuspendedPolicy = 'wait' | 'leave';

/** Which policy a pool has: only its own file knows what else is in it. */
export interface PolicySettings {
  readonly kind: string;
}

/**
 * Memory of a node, counted once: the guests', what the VMM takes for each of them, and the pilot's,
 * once in each slot on a node. The LRM is asked for the sum, and enforces it.
 */
export interface MemorySettings {
  readonly vmm: VmmMemory;
  /** The pilot's process and what the LRM runs around it; a helper while it starts. */
  readonly pilotMiB: number;
}

/** Limits; null: none. */
export interface Quota {
  /** Live workspaces, pending ones too. */
  readonly workspaces: number | null;
  /** VMs, their processors and their memory in all live workspaces. */
  readonly vms: number | null;
  readonly cpus: number | null;
  readonly memoryMiB: number | null;
  /** Minutes of VMs, reserved by live workspaces and used by ended ones. */
  readonly vmMinutes: number | null;
  /** The longest lease, its extensions included. */
  readonly maxDurationMs: number | null;
}

/** Whose quotas there are: by name, and for everybody who has none of their own. */
export interface Quotas {
  readonly user: Quota;
  readonly project: Quota;
  readonly users: ReadonlyMap<string, Quota>;
  readonly projects: ReadonlyMap<string, Quota>;
}
