import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Helper } from '../helper/helper.ts';

/**
 * How one slot's memory and processors are taken on one node while the slot is reserved, and given
 * back when it is released (paper §3.2). Every member passes `adaptation.contract.ts`.
 *
 *   as found ── reserve ──► reserved ── restore ──► as found        (each may be repeated; the last one called counts)
 *
 * Invariants: `restore` undoes what this slot's `reserve` did and nothing else, whatever other slots
 * on the node and others have done meanwhile. What a member changes as root goes through the
 * helper, which writes the undo into the slot's journal before the change.
 * If we crash: the helper sees its input close and undoes the journal; if that dies too, kill-all or
 * the next helper on the node does. So a member keeps nothing on disk by itself, and what cannot be
 * in that journal it does not change.
 */
export interface NodeAdaptation {
  /**
   * Takes that much of the node; resolves when the slot has it. Repeating it takes nothing more.
   * Throws `ControlError` that says what is missing and what to do; `restore` then undoes what was
   * done of it.
   */
  reserve(memoryMiB: number, cpus: number): Promise<void>;
  /**
   * Leaves the node as it was found. It may be called without a `reserve`, twice, and while a
   * `reserve` is under way, which it undoes too. Throws `ControlError` when something is left, and
   * may be called again.
   */
  restore(): Promise<void>;
}

/** What a member works with, of one slot on one node. */
export interface AdaptationParts {
  readonly node: string;
  readonly slotId: string;
  /** The slot's privileged helper: started by whoever asks first. Rejects with `ControlError`. */
  readonly helper: () => Promise<Helper>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Makes the adaptation of one slot on one node. Changes nothing. */
export type MakeAdaptation = (parts: AdaptationParts) => NodeAdaptation;
