import type { LrmTrouble, ObservedJob } from './model.ts';
import type { GroupRequest, VmOperation, WorkspaceRequest } from '../protocol/cluster.ts';
import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { NotificationBody, VmReport } from '../protocol/pilot.ts';

/** What happens to the core. */

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
  /**
   * One list of all our jobs in a pool, complete; `takenAt` is when the query was sent: slots
   * submitted later are not judged by it.
   */
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
