import type { EndCause, Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { endMarginMs } from './policies/slot-request.ts';
import type { Slot, Workspace } from './model.ts';

/** The end of a job's walltime, told from somebody who wants the nodes back (which the original could not: docs/reliability.md, defect 9). */

/** The reason's code of what ended because its job had run for as long as it may. */
export const walltimeCode = 'walltime';

/** Why a slot ends that nobody takes back: its job has run for as long as it may. Undefined: it has not, or its end is not known. */
export function walltimeOver(draft: Draft, slot: Slot): Reason | undefined {
  const { jobEndsAt } = slot;
  if (jobEndsAt === null || draft.now < jobEndsAt - endMarginMs(draft.settingsOf(slot))) return undefined;
  return {
    code: walltimeCode,
    message: `job ${slot.lrmJobId ?? '?'} has reached the end of its time limit`,
  };
}

/** What a workspace ends of whose slot goes for `reason`. A lease that has not begun has not expired. */
export function causeOfTaking({ endsAt }: Workspace, { code }: Reason): EndCause {
  return code === walltimeCode && endsAt !== null ? 'expired' : 'preempted';
}
