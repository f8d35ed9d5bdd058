import type { GroupRequest, HealPolicy, VmOperation, WorkspaceRequest } from '../protocol/cluster.ts';
import type { MemorySettings } from './memory.ts';
import type { Policy } from './policies/index.ts';
import type { Quotas } from './quota.ts';
import type { ImageManifest } from '../protocol/image.ts';
import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import type { OrderOf, Orders } from '../protocol/orders.ts';
import type { NotificationBody, VmReport } from '../protocol/pilot.ts';
import type {
  ContextState,
  EndCause,
  Reason,
  SlotNodeState,
  SlotState,
  VmState,
  WorkspaceState,
} from '../protocol/states.ts';

/**
 * The lease core's data: entities, inputs, effects. All of it is plain JSON, because all of it is stored.
 * Times are milliseconds since the epoch. Entities are never changed in place; a decision carries new versions.
 */

export interface Workspace {
  readonly id: WorkspaceId;
  readonly name: string;
  readonly owner: string;
  /** The project that is charged too. */
  readonly project: string | null;
  readonly state: WorkspaceState;
  readonly cause: EndCause | null;
  readonly reason: Reason | null;
  /** Defaults filled in: every group has its networks and roles. */
  readonly groups: readonly Required<Omit<GroupRequest, 'userData'>>[];
  /** The pools that it may be in, the best first; empty: all of the site's, in the site's order. */
  readonly pools: readonly string[];
  readonly slotId: SlotId;
  readonly vmIds: readonly VmId[];
  readonly durationMs: number;
  readonly createdAt: number;
  /** The lease: from the moment that all VMs run. */
  readonly startsAt: number | null;
  readonly endsAt: number | null;
  /** How long the lease has stood still because the LRM had its job suspended: added to its end. */
  readonly suspendedMs: number;
  /** While ending: what remains is destroyed at this time, and the workspace is not `ended` before it when the lease expires. */
  readonly endingDeadlineAt: number | null;
  readonly endedAt: number | null;
  /** While deploying, or while a VM is replaced: when to give up. */
  readonly deployDeadlineAt: number | null;
  /** The lease begins by then, or never. */
  readonly startBy: number | null;
  /** A VM that fails takes only itself out. */
  readonly keepPartial: boolean;
  /** Started anew in another slot when the LRM takes its slot back (`requeue.ts`); and how often that was done. */
  readonly requeue: boolean;
  readonly requeues: number;
  /** What becomes of it when a VM is lost while it runs (`heal.ts`). */
  readonly heal: HealPolicy;
  /** What the client has sent with the request, so that sending it again is the same request; and that request's digest. */
  readonly clientToken: string | null;
  readonly requestDigest: string | null;
  /** The numbers of its VXLANs, by network; given when it is launched. */
  readonly vnis: Readonly<Record<string, number>>;
  /** Notices of the lease's end that have been given, each as the time before the end that it is for, in milliseconds. */
  readonly noticesGivenMs: readonly number[];
}

/** A node of a slot, as its pilot has reported it. */
export interface SlotNode {
  readonly name: string;
  readonly state: SlotNodeState;
  /** Why it is in it: what the LRM wanted, what failed, what cannot be undone yet; or that an administrator drains it. */
  readonly reason: Reason | null;
  readonly address: string | null;
  readonly connected: boolean;
  /** Since when its pilot is not connected; null: it is, or it never was. */
  readonly silentSince: number | null;
  /**
   * While it is silent: its node's own kernel has closed the connection, without a farewell of the
   * pilot's.
   */
  readonly hungUp: boolean;
  /** The highest notification number applied; a number at or below it is a duplicate. */
  readonly appliedSeq: number;
  /** How many events its pilot's word has made that may come again and again (`told.ts`). */
  readonly told: number;
}

/** A resource slot: nodes held through one LRM job. */
export interface Slot {
  readonly id: SlotId;
  /** The pool whose LRM it is asked from. */
  readonly pool: string;
  /** The workspaces in it, in the order in which they came: those that have not ended, and the last one. None: nobody has been in it. */
  readonly workspaceIds: readonly WorkspaceId[];
  /** Whose workspace was the first in it. */
  readonly owner: string | null;
  /** Asked for before anybody needed it (policy `warm`). */
  readonly warm: boolean;
  readonly state: SlotState;
  readonly reason: Reason | null;
  readonly lrmJobId: string | null;
  /** What the LRM last said. */
  readonly lrmState: string | null;
  readonly lrmReason: string | null;
  /** Of a job that waits: whether it will start by itself; null: nobody knows. */
  readonly lrmOutlook: ObservedJob['outlook'];
  /** What of the LRM does not work just now and is tried again until it does. */
  readonly lrmTrouble: LrmTrouble | null;
  /** Since when the LRM has the job's processes stopped (`suspension.ts`); null: it has not. */
  readonly suspendedSince: number | null;
  /**
   * We have told the LRM to cancel a job that it was not ending by itself: that the job is
   * cancelled is ours.
   */
  readonly cancelOrdered: boolean;
  readonly estimatedStartAt: number | null;
  readonly jobEndsAt: number | null;
  readonly nodesWanted: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly walltimeMs: number;
  /** The names of its job's nodes, as the LRM told them last; empty: it does not tell (yet). */
  readonly jobNodes: readonly string[];
  /** In the order in which their pilots reported. */
  readonly nodes: readonly SlotNode[];
  readonly createdAt: number;
  readonly submittedAt: number | null;
  /** The next moment at which waiting has taken too long (for pilots of a job that runs, for all of them, for somebody who needs it, for the release); null when it may wait for ever. */
  readonly deadlineAt: number | null;
  readonly endedAt: number | null;
}

/** The LRM could not be asked, or has put a request off. */
export interface LrmTrouble {
  /** What was tried: to submit the job, to cancel it, or to hear how it is. */
  readonly doing: 'submit' | 'cancel' | 'list';
  /** `deferred`: it answers, and takes the request when something has passed. */
  readonly kind: 'deferred' | 'unavailable';
  /** The LRM's words. */
  readonly message: string;
  readonly since: number;
}

/** An interface of a VM, assigned when the workspace is created: a lease that has waited never fails for want of an address. */
export interface AssignedNic {
  readonly network: string;
  readonly mac: string;
  readonly address: string;
  readonly tap: string;
}

/** One virtual machine of a workspace. */
export interface Vm {
  readonly id: VmId;
  readonly workspaceId: WorkspaceId;
  readonly slotId: SlotId;
  readonly group: string;
  readonly index: number;
  readonly name: string;
  readonly state: VmState;
  readonly context: ContextState;
  readonly reason: Reason | null;
  readonly node: string | null;
  readonly image: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly nics: readonly AssignedNic[];
  /** How many orders (`operations.ts`) it has been given: makes each a key of its own. */
  readonly orders: number;
  /** How many VMs were lost in its place (`heal.ts`); 0: it is the first. */
  readonly replaces: number;
  /** How many events its pilot's word has made, its guest's among them (`told.ts`). */
  readonly told: number;
}

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
  /** From the LRM's warning signal to its SIGKILL: pilots leave this long before the job's end, and so must leases. */
  readonly killDelayMs: number;
  /** What is free on each node, of an LRM that is all ours and tells; null: jobs wait in a queue, for how long nobody knows. */
  readonly free: readonly NodeSize[] | null;
}

/** Nodes that are asked for in one way: an LRM (batch scheduler or static nodes), what it can give, and the policy for it. */
export interface Pool {
  readonly name: string;
  readonly policy: Policy;
  /** Networks that its nodes reach; null: all of the site's. */
  readonly reaches: readonly string[] | null;
  /** What its VMM and a pilot take of a node's memory beside the guests. */
  readonly memory: MemorySettings;
  /** Null until the LRM has answered once: then nothing can be checked yet, and nothing is refused for size. */
  readonly site: PoolSize | null;
}

/** The settings as they are for one pool's slots. */
export type PoolSettings = LeaseSettings & Pick<Pool, 'policy' | 'memory' | 'site'>;

/**
 * The whole state that decisions are made from: what lives, and what has ended a short while ago
 * (`retire.ts`). The service's writer owns the maps and applies decisions to them after commit.
 */
export interface SiteState {
  readonly settings: LeaseSettings;
  readonly workspaces: ReadonlyMap<WorkspaceId, Workspace>;
  readonly slots: ReadonlyMap<SlotId, Slot>;
  readonly vms: ReadonlyMap<VmId, Vm>;
  /** What retired workspaces have used, by owner and project (`quota.ts`). */
  readonly used: ReadonlyMap<string, Used>;
}

/** What the retired workspaces of one owner have used for one project (null: for none). */
export interface Used {
  readonly owner: string;
  readonly project: string | null;
  /** Milliseconds of leases, each times its VMs. */
  readonly vmMs: number;
}

/** An LRM job as an observation: the same words as `LrmJob` in lrm/, which the core must not import. */
export interface ObservedJob {
  readonly jobId: string;
  readonly slotId: SlotId;
  readonly state:
    | 'waiting'
    | 'starting'
    | 'running'
    | 'suspended'
    | 'ending'
    | 'completed'
    | 'cancelled'
    | 'preempted'
    | 'timeout'
    | 'node-failed'
    | 'failed';
  readonly reason: string | null;
  /** Whether a job that waits will start by itself; null: nobody knows. */
  readonly outlook: 'passes' | 'needs-somebody' | 'never' | null;
  readonly estimatedStartAt: number | null;
  readonly endsAt: number | null;
  /** Its nodes; empty: it has none yet, or the LRM does not tell. */
  readonly nodes: readonly string[];
  /** Those that an administrator drains, and their words; null: the LRM does not tell. */
  readonly draining: readonly { readonly node: string; readonly reason: string }[] | null;
}

/** What becomes of leases on a node that an administrator drains (`drain.ts`). */
export type DrainPolicy = 'wait' | 'leave';

/** What becomes of leases whose job the LRM suspends (`suspension.ts`). */
export type SuspendedPolicy = 'wait' | 'leave';

/**
 * A random whole number for each of the site's networks, in their order: nobody guesses what is
 * chosen by it.
 */
export type Lots = readonly number[];

/** Everything that can happen to the core: what a client asks, what the LRM, the pilots and the clock say. */
export type LeaseInput =
  /** Ids come from the caller's randomness; a refusal leaves no trace. */
  | {
      readonly type: 'create';
      readonly workspaceId: WorkspaceId;
      readonly slotId: SlotId;
      readonly owner: string;
      readonly request: WorkspaceRequest;
      /** Of the request without its token: tells whether a repeated token comes with the same request. */
      readonly requestDigest: string;
      readonly lots: Lots;
    }
  /** More groups for a pending workspace; then its launch. */
  | {
      readonly type: 'add';
      readonly workspaceId: WorkspaceId;
      readonly by: string;
      readonly groups: readonly GroupRequest[];
    }
  | {
      readonly type: 'launch';
      readonly workspaceId: WorkspaceId;
      readonly by: string;
      readonly lots: Lots;
    }
  /** Makes the lease longer by this much. */
  | {
      readonly type: 'extend';
      readonly workspaceId: WorkspaceId;
      readonly by: string;
      readonly durationMs: number;
    }
  /** An order for VMs that are leased; `target`: a VM or a group, absent: all. */
  | {
      readonly type: 'operate';
      readonly workspaceId: WorkspaceId;
      readonly by: string;
      readonly operation: VmOperation;
      readonly target: string | undefined;
      readonly graceMs: number | undefined;
    }
  | { readonly type: 'destroy'; readonly workspaceId: WorkspaceId; readonly by: string }
  | { readonly type: 'lrm.submitted'; readonly slotId: SlotId; readonly jobId: string }
  | { readonly type: 'lrm.refused'; readonly slotId: SlotId; readonly message: string }
  /**
   * What an LRM was asked for a slot did not work, and is tried again; and a cancel that had not
   * worked has.
   */
  | ({ readonly type: 'lrm.deferred'; readonly slotId: SlotId } & Omit<LrmTrouble, 'since'>)
  | { readonly type: 'lrm.cancelled'; readonly slotId: SlotId }
  /** A pool's LRM does not tell how its jobs are. */
  | { readonly type: 'lrm.unanswered'; readonly pool: string; readonly message: string }
  /** The LRM has agreed to end a slot's job later. */
  | { readonly type: 'lrm.extended'; readonly slotId: SlotId; readonly jobEndsAt: number }
  /** One list of all our jobs in a pool, complete; `takenAt` is when the query was sent: slots submitted later are not judged by it. */
  | {
      readonly type: 'lrm.observed';
      readonly pool: string;
      readonly takenAt: number;
      readonly jobs: readonly ObservedJob[];
    }
  | {
      readonly type: 'pilot.connected';
      readonly slotId: SlotId;
      readonly node: string;
      readonly address: string;
      readonly vms: readonly VmReport[];
    }
  /** `hungUp`: see `SlotNode`. */
  | {
      readonly type: 'pilot.disconnected';
      readonly slotId: SlotId;
      readonly node: string;
      readonly hungUp?: boolean;
    }
  | {
      readonly type: 'pilot.notified';
      readonly slotId: SlotId;
      readonly node: string;
      readonly seq: number;
      readonly at: number;
      readonly body: NotificationBody;
    }
  /** The service begins, with what an earlier life of it has stored. */
  | { readonly type: 'service.started' }
  /** Time has passed: whatever is due is done. */
  | {
      readonly type: 'clock';
      /** For a slot that is asked for now, if one is; the pool that wants it is looked for. */
      readonly slotId: SlotId;
    };

/** What must be done after the decision is durable. Keys are unique for ever, and make doing it twice harmless. */
export type Effect =
  | { readonly kind: 'lrm.submit'; readonly key: string; readonly slotId: SlotId }
  | { readonly kind: 'lrm.cancel'; readonly key: string; readonly slotId: SlotId; readonly jobId: string }
  /** Ask the LRM now rather than at the next round: something should have changed. */
  | { readonly kind: 'lrm.observe'; readonly key: string; readonly slotId: SlotId }
  | PilotEffect;

/** An order for the pilot on a node of a slot. */
export interface PilotEffect {
  readonly kind: 'pilot';
  readonly key: string;
  readonly slotId: SlotId;
  readonly node: string;
  readonly order: DecidedOrder;
}

/**
 * An order as it is decided and stored. What a VM is started with holds secrets, and peers are told
 * as they are when it is sent: these are completed then (`service/pilots/orders.ts`).
 */
export type DecidedOrder = OrderOf<
  Omit<Orders, 'start-vm' | 'set-peers'> & {
    readonly 'start-vm': { readonly vmId: VmId };
    readonly 'set-peers': { readonly workspaceId: WorkspaceId };
  }
>;

/** One line of the history, before the store has numbered it. `type` as in the API's Event. */
export interface HistoryEvent {
  readonly at: number;
  readonly type: string;
  readonly workspaceId: WorkspaceId | null;
  readonly slotId: SlotId | null;
  readonly vmId: VmId | null;
  readonly node: string | null;
  readonly reason: Reason | null;
}

/** What leaves memory together: nothing that stays refers to it. */
export interface Retired {
  /** Null: the workspace was in no slot, or its slot goes on. */
  readonly slotId: SlotId | null;
  readonly workspaces: readonly Workspace[];
  /** All VMs that the workspaces have had. */
  readonly vmIds: readonly VmId[];
}

/** New versions of what changed, the history of it, and the effects. Empty lists: nothing to do. */
export interface Decision {
  readonly workspaces: readonly Workspace[];
  readonly slots: readonly Slot[];
  readonly vms: readonly Vm[];
  readonly events: readonly HistoryEvent[];
  readonly effects: readonly Effect[];
  /** Applied after everything else. */
  readonly retired: readonly Retired[];
}

/** The core's "no": becomes a 4xx answer with this code. Typed as the API's codes that the core can give. */
export interface Refusal {
  readonly code:
    | 'conflict'
    | 'not_found'
    | 'image_unknown'
    | 'network_unknown'
    | 'pool_unknown'
    | 'exceeds_site'
    | 'addresses_exhausted'
    | 'quota_exceeded'
    | 'invalid_request';
  readonly message: string;
  readonly hint?: string;
  /** It would not be refused if the LRM let this job run until then (milliseconds since the epoch). */
  readonly ifJobLasts?: { readonly slotId: SlotId; readonly jobId: string; readonly until: number };
}

/** What `decide` answers: what becomes of the input, or why it is refused. */
export type Outcome =
  | { readonly ok: true; readonly decision: Decision }
  | { readonly ok: false; readonly refusal: Refusal };
