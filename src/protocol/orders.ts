import type { VmOperation } from './cluster.ts';
import type { BridgePeers, VmPlan } from './plan.ts';

/**
 * What the service orders pilots to do. Each order is defined here, once, by its kind; the union of
 * all and the tables of those who carry them out follow from it, so that an order which one of them
 * does not handle does not compile.
 *
 * A pilot is as old as its job, which may have waited for days: kinds and members keep their names
 * and meaning. A pilot acknowledges and otherwise ignores a kind that it does not know.
 */
export interface Orders extends VmOrders {
  /** The LRM ends the job then (milliseconds since the epoch), not when the pilot thought. */
  readonly 'job-end': { readonly endsAt: number };
  /** Stop every VM of the slot as `stop-vm` does, undo everything, report `released`, exit. */
  readonly release: { readonly graceMs: number };
}

/** The orders that workspace control carries out. */
export interface VmOrders {
  readonly 'start-vm': { readonly vm: VmPlan };
  /** Graceful shutdown, then, after `graceMs`, hard destroy. 0 destroys at once. */
  readonly 'stop-vm': { readonly vmId: string; readonly graceMs: number };
  /** To a VM that is leased. `graceMs`: for a guest to shut down (shutdown, reboot). */
  readonly 'operate-vm': {
    readonly vmId: string;
    readonly operation: PilotOperation;
    readonly graceMs: number;
  };
  /** Other peers for VXLANs of a workspace, instead of those that came with its VMs. */
  readonly 'set-peers': { readonly bridges: readonly BridgePeers[] };
  /** A line for the guest's users; best effort. */
  readonly 'tell-guest': { readonly vmId: string; readonly message: string };
}

/** What `operate-vm` can do to a VM; to destroy it is `stop-vm`. */
export type PilotOperation = Exclude<VmOperation, 'destroy'>;

/** One of some kinds of orders. */
export type OrderOf<Kinds> = { [K in keyof Kinds]: { readonly kind: K } & Kinds[K] }[keyof Kinds];

/** Any order, as it is sent. */
export type Order = OrderOf<Orders>;

/** Who carries out some kinds of orders: one function for each. */
export type Handlers<Kinds> = { readonly [K in keyof Kinds]: (order: Kinds[K]) => void };

/** Has an order carried out. False: its kind is not known here, because the service is newer. */
export function carryOut(handlers: Handlers<Orders>, order: Order): boolean {
  // What comes over the wire may be called as what every object has.
  if (!Object.hasOwn(handlers, order.kind)) return false;
  const handle = handlers[order.kind] as (order: Order) => void;
  handle(order);
  return true;
}
