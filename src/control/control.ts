import type { Duplex } from 'node:stream';
import type { Handlers, VmOrders } from '../protocol/orders.ts';
import type { StreamTarget, VmReport } from '../protocol/pilot.ts';

/**
 * Workspace control (paper §3.3): what manages the VMs of one slot on one node. Hosted by the pilot, which passes commands in and
 * reports out; it knows nothing of connections. Implemented by `workspace-control.ts`.
 */
export interface WorkspaceControl {
  /**
   * Takes over the node for the slot: its work directory is made, its helper serves, its VMM has
   * been checked by running it, its memory is taken. All of that is awaited, with deadlines.
   * Throws `ControlError`, which says what is missing and what to do: `reserve_failed`, or what is
   * wrong with the directory. Nothing is left changed then, or the message says so.
   */
  reserve(): Promise<void>;
  /**
   * Carry out orders for the slot's VMs. They never throw: `report` tells what becomes of a VM.
   *
   * - `start-vm`: a VM that is already there is left alone, and its report is sent again;
   * - `stop-vm`: safe in any state; a VM that is not there is reported `terminated`;
   * - `operate-vm`: a VM that is not there, or not in a state for it, is left alone;
   * - `set-peers`: a bridge that is not there is made with them; what goes wrong is logged;
   * - `tell-guest`: a guest that has no agent, or is not up, does not hear it.
   */
  readonly orders: Handlers<VmOrders>;
  /** Stops all VMs as above and undoes everything. Resolves when the node is as before `reserve`; throws `ControlError` when something could not be undone, and may be called again. */
  release(graceMs: number): Promise<void>;
  /** What runs here, now. */
  reports(): readonly VmReport[];
  /**
   * A connection to a TCP port of a guest, or to its console; or what the VM uses, as lines. Throws
   * `ControlError` (`not_found`, `unreachable`).
   */
  openStream(target: StreamTarget): Promise<Duplex>;
}

/** How a VM's state is told; `at`, where it was not just now: milliseconds since the epoch. */
export type ReportVm = (report: VmReport, at?: number) => void;

/** An expected failure on a node: `code` for programs and for a VM's reason, a message for people. It becomes a report to the service. */
export class ControlError extends Error {
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ControlError';
    this.code = code;
  }
}
