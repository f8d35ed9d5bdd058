import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import type { OrderOf, Orders } from '../protocol/orders.ts';
import type { EventType } from '../protocol/events.ts';
import type { Reason } from '../protocol/states.ts';
import type { Slot, Vm, Workspace } from './model.ts';

/** What the core decides. */

/** What must be done after the decision is durable. Keys are unique for ever, and make doing it twice harmless. */
export type Effect = LrmEffect | PilotEffect;

/** What the LRM of a slot's pool is asked for. */
export type LrmEffect =
  | { readonly kind: 'lrm.submit'; readonly key: string; readonly slotId: SlotId }
  | { readonly kind: 'lrm.cancel'; readonly key: string; readonly slotId: SlotId; readonly jobId: string }
  /** Ask the LRM now rather than at the next round: something should have changed. */
  | { readonly kind: 'lrm.observe'; readonly key: string; readonly slotId: SlotId };

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

/** One line of the history, before the store has numbered it. */
export interface HistoryEvent {
  readonly at: number;
  readonly type: EventType;
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
