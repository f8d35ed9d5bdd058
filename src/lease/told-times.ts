import type { Draft } from './draft.ts';
import type { Slot } from './model.ts';

/**
 * Times that pilots tell, as far as they can be true. Clocks of nodes are minutes off, and what a
 * pilot repeats may be as old as its slot; anything else would stand in the history for ever, where
 * a lease's breakdown and its owner's usage are made from it.
 */

/** How far a node's clock may be off and still be believed. */
const believedDriftMs = 15 * 60_000;

/** When it happened: by the node's clock, or, when that cannot be, now. */
export function happenedAt({ now }: Draft, { createdAt }: Slot, at: number): number {
  return at >= createdAt - believedDriftMs && at <= now + believedDriftMs ? at : now;
}

/** When the LRM ends the job: no later than its walltime lets it. */
export function jobEndAt({ now }: Draft, { walltimeMs }: Slot, at: number): number {
  return Math.min(Math.max(at, now), now + walltimeMs + believedDriftMs);
}
