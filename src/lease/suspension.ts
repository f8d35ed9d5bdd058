import type { SlotId } from '../protocol/ids.ts';
import { formatDuration, formatMoment } from '../protocol/units.ts';
import type { Draft } from './draft.ts';
import { silentFromNow } from './recovery.ts';
import { conflict } from './request.ts';
import { cancelJob, endAll, releaseSlot } from './slot.ts';
import type { Refusal } from './decision.ts';
import type { ObservedJob, Slot, Workspace } from './model.ts';
import { followJobEnd } from './workspace.ts';

/**
 * The LRM stops a job's processes for another job's sake, or an administrator's, and lets them run
 * on later. What
 * runs in it stands still meanwhile, pilots and guests, and nothing can be told to them:
 *
 *   ready ── suspended ─► nothing is waited for, the lease stands still ── resumed ─► deadlines begin anew, the lease ends later
 *                    └─► everybody in it is to end, or the site says `leave`: the job is cancelled
 *
 * The slot's state stays; that it is suspended is in `suspendedSince`. A lease is given the time
 * back for which it stood still, as far as its job lasts.
 */
export function followSuspension(draft: Draft, slotId: SlotId, job: ObservedJob): void {
  const { suspendedSince } = draft.slot(slotId);
  if (job.state === 'suspended' && suspendedSince === null) suspend(draft, slotId, job);
  if (job.state !== 'suspended' && suspendedSince !== null) resume(draft, slotId, suspendedSince);
}

function suspend(draft: Draft, slotId: SlotId, { jobId, reason: words }: ObservedJob): void {
  const slot = draft.slot(slotId);
  draft.putSlot({ ...slot, suspendedSince: draft.now });
  const message = `the batch scheduler has suspended the job${words === null ? '' : `: ${words}`}`;
  const reason = { code: 'suspended', message };
  draft.recordSlot('slot.suspended', slot, { reason });
  for (const { id: workspaceId } of draft.workspacesIn(slot))
    draft.record('workspace.suspended', { workspaceId, slotId, reason });
  // On its way out already, and nobody is there to obey.
  if (slot.state === 'releasing' || slot.state === 'preempting') return cancelJob(draft, slotId, jobId);
  if (draft.settings.suspended === 'wait') return;
  endAll(draft, slotId, 'preempted', reason);
  releaseSlot(draft, slotId, 0, reason);
}

function resume(draft: Draft, slotId: SlotId, since: number): void {
  silentFromNow(draft, slotId);
  const slot = draft.slot(slotId);
  draft.putSlot({ ...slot, suspendedSince: null, deadlineAt: resumedDeadline(draft, slot) });
  const message = `the batch scheduler lets the job run on, after ${formatDuration(draft.now - since)}`;
  const reason = { code: 'resumed', message };
  draft.recordSlot('slot.resumed', slot, { reason });
  for (const workspace of draft.workspacesIn(slot)) {
    resumeLease(draft, workspace, since);
    draft.record('workspace.resumed', { workspaceId: workspace.id, slotId, reason });
  }
}

/** Pilots have the time again that they have to report. */
function resumedDeadline({ now, settings }: Draft, { state, deadlineAt }: Slot): number | null {
  const waits = state === 'queued' || state === 'reserving';
  return waits && deadlineAt !== null ? now + settings.reserveTimeoutMs : deadlineAt;
}

function resumeLease(draft: Draft, workspace: Workspace, since: number): void {
  const { state, startsAt, deployDeadlineAt, endingDeadlineAt } = workspace;
  const stoodStillMs = Math.max(0, draft.now - since);
  const leaseStoodStillMs = Math.max(0, draft.now - Math.max(since, startsAt ?? since));
  const later = (at: number | null): number | null => (at === null ? null : at + stoodStillMs);
  draft.putWorkspace({
    ...workspace,
    deployDeadlineAt: later(deployDeadlineAt),
    endingDeadlineAt: later(endingDeadlineAt),
    suspendedMs: workspace.suspendedMs + (state === 'running' ? leaseStoodStillMs : 0),
  });
  followJobEnd(draft, workspace.id);
}

/** Why nothing but destroying can be asked for now; undefined: it can. */
export function suspendedRefusal(draft: Draft, { name, slotId }: Workspace): Refusal | undefined {
  const { suspendedSince } = draft.slot(slotId);
  if (suspendedSince === null) return undefined;
  return conflict(
    `workspace ${name} is suspended by the batch scheduler since ${formatMoment(suspendedSince)}: its VMs stand still and take no orders`,
    'try again when it goes on (wsp events -f); wsp destroy ends it at once',
  );
}
