import { type Clock, withDeadline } from '../platform/clock.ts';
import { ControlError } from './control.ts';
import { messageOf } from '../platform/message-of.ts';

/** Something that a node must have before it is part of a slot. */
export interface Requirement {
  /** What is waited for, as in "the check of the VMM did not happen within 30 s". */
  readonly what: string;
  readonly met: () => Promise<unknown>;
  /** What to do when it is not met, where its own words do not say so. */
  readonly advice?: string;
}

/**
 * How long each requirement may take. The service waits a minute for all of a slot's nodes
 * (`leases.reserveTimeout`), and is to hear what was wrong with one before it gives up.
 */
const deadlineMs = 30_000;

/**
 * Has all requirements met, beside each other. Rejects with `ControlError` `reserve_failed`, which
 * names each that was not, when all have settled or run out of time: some may be met by then, or
 * later, and are the caller's to undo.
 */
export async function requireAll(clock: Clock, requirements: readonly Requirement[]): Promise<void> {
  const outcomes = await Promise.allSettled(
    requirements.map(({ what, met }) => withDeadline(clock, deadlineMs, what, met())),
  );
  const unmet = outcomes.flatMap((outcome, at) =>
    outcome.status === 'rejected' ? [wordsOf(outcome.reason, requirements[at]?.advice)] : [],
  );
  if (unmet.length === 0) return;
  throw new ControlError(
    'reserve_failed',
    `it cannot host VMs: ${unmet.join('; ')} (wsp doctor --node, run there, says more)`,
  );
}

function wordsOf(cause: unknown, advice: string | undefined): string {
  const message = messageOf(cause);
  return advice === undefined ? message : `${message}: ${advice}`;
}
