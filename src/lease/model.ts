import type { GroupRequest, HealPolicy } from '../protocol/cluster.ts';
import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import type { LrmJobState, Outlook } from '../protocol/jobs.ts';
import type {
  ContextState,
  EndCause,
  Reason,
  SlotNodeState,
  SlotState,
  VmState,
  WorkspaceState,
} from '../protocol/states.ts';
import type { SlotRequest } from './policies/slot-request.ts';
import type { LeaseSettings } from './settings.ts';

/**
 * The lease core's entities. They are plain JSON, because all of them are stored, and never changed in
 * place: a decision carries new versions. Times are milliseconds since the epoch.
 */

/** What a client owns: its groups of VMs, and the terms of its lease. */
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
  /**
   * While ending: what remains is destroyed at this time, and the workspace is not `ended` before
   * it when the lease expires.
   */
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
  /**
   * What the client has sent with the request, so that sending it again is the same request; and
   * that request's digest.
   */
  readonly clientToken: string | null;
  readonly requestDigest: string | null;
  /** The numbers of its VXLANs, by network; given when it is launched. */
  readonly vnis: Readonly<Record<string, number>>;
  /**
   * Notices of the lease's end that have been given, each as the time before the end that it is
   * for, in milliseconds.
   */
  readonly noticesGivenMs: readonly number[];
}

/** A node of a slot, as its pilot has reported it. */
export interface SlotNode {
  readonly name: string;
  readonly state: SlotNodeState;
  /**
   * Why it is in it: what the LRM wanted, what failed, what cannot be undone yet; or that an
   * administrator drains it.
   */
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
export interface Slot extends SlotRequest {
  readonly id: SlotId;
  /** The pool whose LRM it is asked from. */
  readonly pool: string;
  /**
   * The workspaces in it, in the order in which they came: those that have not ended, and the last
   * one. None: nobody has been in it.
   */
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
  /** The names of its job's nodes, as the LRM told them last; empty: it does not tell (yet). */
  readonly jobNodes: readonly string[];
  /** In the order in which their pilots reported. */
  readonly nodes: readonly SlotNode[];
  readonly createdAt: number;
  readonly submittedAt: number | null;
  /**
   * The next moment at which waiting has taken too long (for pilots of a job that runs, for all of
   * them, for somebody who needs it, for the release); null when it may wait for ever.
   */
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

/**
 * An interface of a VM, assigned when the workspace is launched: a lease that has waited never
 * fails for want of an address.
 */
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
  readonly state: LrmJobState;
  readonly reason: string | null;
  /** Whether a job that waits will start by itself; null: nobody knows. */
  readonly outlook: Outlook | null;
  readonly estimatedStartAt: number | null;
  readonly endsAt: number | null;
  /** Its nodes; empty: it has none yet, or the LRM does not tell. */
  readonly nodes: readonly string[];
  /** Those that an administrator drains, and their words; null: the LRM does not tell. */
  readonly draining: readonly { readonly node: string; readonly reason: string }[] | null;
}
