import type { WorkspaceId } from '../protocol/ids.ts';
import type { EndCause, Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { endMarginMs } from './policies/slot-request.ts';
import { isToBeRequeued } from './requeue.ts';
import { isFinalVm } from './transitions.ts';
import type { Workspace } from './model.ts';
import type { LeaseSettings } from './settings.ts';
import { stopVm } from './vm.ts';
import { formatMoment } from '../protocol/units.ts';

/**
 * The ensemble's life: deployed whole, leased, ended whole.
 *
 *   all VMs run ─► startsAt ──────────────── lease ───────────────┬── grace ──┐
 *                                                              stopAt       endsAt     destroy margin: guests that ignore the shutdown
 *                                                          VMs told to stop   ended    are destroyed this long before endsAt
 */

/** A share of a short lease, not all of it, is for shutting down; a second at least, unless the lease is hardly longer. */
const graceShareOfLease = 0.1;
const leastGraceMs = 1_000;
const longestDestroyMarginMs = 1_000;
/** How long after its grace a VM's end may take to be reported before its whole node is told to release. */
const reportSlackMs = 2_000;
/** The least of it, for an end that begins in the lease's last moment. */
const leastReportMs = 500;

export const isLive = (workspace: Workspace): boolean =>
  workspace.state !== 'ending' && workspace.state !== 'ended';

/** The end of a workspace that was never launched: there is nothing to undo. */
export function endPending(draft: Draft, id: WorkspaceId, cause: EndCause, reason: Reason): void {
  draft.moveWorkspace(id, 'ended', { reason, patch: { cause, endedAt: draft.now } });
}

/** How what still runs is brought to its end. */
interface Ending {
  /** What VMs get to shut down, at most (default: the site's `shutdownGraceMs`). */
  readonly graceMs?: number;
  /** False: their pilots are told, or have decided, to release their nodes, which stops them (default: true). */
  readonly order?: boolean;
  /** When what remains is destroyed, where the lease's end does not say it. */
  readonly deadlineAt?: number;
}

/** Begins the end, once: a workspace that is ending already keeps its first cause. */
export function beginEnding(
  draft: Draft,
  id: WorkspaceId,
  cause: EndCause,
  reason: Reason,
  { graceMs: mostMs = draft.settings.shutdownGraceMs, order = true, deadlineAt }: Ending = {},
): void {
  const workspace = draft.workspace(id);
  if (!isLive(workspace)) return;
  const graceMs = deadlineAt === undefined ? graceWithinLease(draft, id, mostMs) : mostMs;
  const endingDeadlineAt = deadlineAt ?? heardUntil(workspace, draft.now + graceMs);
  draft.moveWorkspace(id, 'ending', {
    reason,
    patch: { cause, endingDeadlineAt, deployDeadlineAt: null },
  });
  const slot = draft.slot(workspace.slotId);
  for (const vm of draft.vmsOf(id)) stopVm(draft, vm, slot, graceMs, order);
}

/** How long pilots have to report VMs that are off by `offBy`: not past the lease's end, if that leaves them a moment. */
function heardUntil({ endsAt }: Workspace, offBy: number): number {
  const latest = Math.max(endsAt ?? Number.POSITIVE_INFINITY, offBy + leastReportMs);
  return Math.min(offBy + reportSlackMs, latest);
}

/** A grace that is over before the lease is, whatever began the end. */
export function graceWithinLease(draft: Draft, id: WorkspaceId, graceMs: number): number {
  const { endsAt } = draft.workspace(id);
  return endsAt === null ? graceMs : Math.min(graceMs, graceUntil(endsAt, draft.now));
}

/** Guests that ignore the shutdown are destroyed a little before `deadlineAt`, so that it can be reported by then. */
function graceUntil(deadlineAt: number, now: number): number {
  const leftMs = Math.max(0, deadlineAt - now);
  return leftMs - Math.min(longestDestroyMarginMs, Math.floor(leftMs / 4));
}

/** All VMs run: the lease begins, and its end is known. It is never later than the job allows. */
export function startLease(draft: Draft, id: WorkspaceId): void {
  const workspace = draft.workspace(id);
  const startsAt = draft.now;
  const endsAt = Math.min(startsAt + workspace.durationMs, latestEnd(draft, workspace));
  draft.moveWorkspace(id, 'running', { patch: { startsAt, endsAt, deployDeadlineAt: null } });
}

/**
 * The LRM has moved the job's end, or the lease has stood still: a lease that is too long for its
 * job is shortened, and one that was
 * is given back its time as far as the job lasts. It never becomes longer than it was asked for.
 */
export function followJobEnd(draft: Draft, id: WorkspaceId): void {
  const workspace = draft.workspace(id);
  const { state, startsAt, durationMs, suspendedMs, slotId } = workspace;
  if (state !== 'running' || startsAt === null || workspace.endsAt === null) return;
  const endsAt = Math.min(startsAt + durationMs + suspendedMs, latestEnd(draft, workspace));
  if (endsAt === workspace.endsAt) return;
  const shorter = endsAt < workspace.endsAt;
  const noticesGivenMs = workspace.noticesGivenMs.filter(noticeMs => endsAt - noticeMs <= draft.now);
  draft.putWorkspace({ ...workspace, endsAt, noticesGivenMs });
  const at = formatMoment(endsAt);
  const reason = shorter
    ? { code: 'lrm_shortened', message: 'the batch scheduler will end the job earlier than it had said' }
    : {
        code: 'lrm_lengthened',
        message: `the batch scheduler gave the job its time back; the lease ends at ${at}`,
      };
  draft.record(`workspace.${shorter ? 'shortened' : 'lengthened'}`, { workspaceId: id, slotId, reason });
}

/** As late as the job allows; but guests get their time to shut down, whatever the job allows. */
export function latestEnd(draft: Draft, workspace: Workspace): number {
  const slot = draft.slot(workspace.slotId);
  if (slot.jobEndsAt === null) return Number.POSITIVE_INFINITY;
  const settings = draft.settingsOf(slot);
  return Math.max(draft.now + settings.shutdownGraceMs, slot.jobEndsAt - endMarginMs(settings));
}

/** How long before `endsAt` guests are told to shut down; 0 while the lease has not begun. */
export function expiryGraceMs(workspace: Workspace, settings: LeaseSettings): number {
  if (workspace.startsAt === null || workspace.endsAt === null) return 0;
  const leaseMs = workspace.endsAt - workspace.startsAt;
  const shareMs = Math.max(leastGraceMs, leaseMs * graceShareOfLease);
  return Math.floor(Math.min(settings.shutdownGraceMs, shareMs, leaseMs / 2));
}

/** The lease's time is nearly over: guests shut down gracefully before `endsAt`, and the workspace is over at it. */
export function expire(draft: Draft, workspace: Workspace): void {
  const graceMs = expiryGraceMs(workspace, draft.settings);
  const endsAt = workspace.endsAt ?? draft.now;
  // A service that was away at the time still lets guests shut down; a timer that is a little late takes nothing from the lease's end.
  const leastMs = draft.now < endsAt ? Math.min(graceMs, leastGraceMs) : graceMs;
  const deadlineAt = Math.max(endsAt, draft.now + leastMs);
  const reason = { code: 'expired', message: 'the lease has reached its end' };
  const graceUntilEndMs = graceUntil(deadlineAt, draft.now);
  beginEnding(draft, workspace.id, 'expired', reason, { graceMs: graceUntilEndMs, deadlineAt });
}

/** Is every VM off? */
export function allOff(draft: Draft, id: WorkspaceId): boolean {
  return draft.vmsOf(id).every(({ state }) => isFinalVm(state));
}

/**
 * From when on an ending workspace may be over of which nothing runs: a lease that expires, from its
 * end on, or from when its job has gone. A service that was away gives pilots more time to report
 * (`recovery.ts`), which is no reason to wait when they have.
 */
export function overFrom({ cause, endsAt, endingDeadlineAt }: Workspace): number {
  return cause === 'expired' ? Math.min(endsAt ?? 0, endingDeadlineAt ?? 0) : 0;
}

/** The workspace's last step, when nothing of it runs; a lease that expires is never over before its time. */
export function endIfOff(draft: Draft, id: WorkspaceId): void {
  const { state } = draft.workspace(id);
  if (state !== 'ending' || !allOff(draft, id)) return;
  if (draft.now < overFrom(draft.workspace(id))) return;
  if (isToBeRequeued(draft.workspace(id))) return;
  draft.moveWorkspace(id, 'ended', { patch: { endedAt: draft.now, endingDeadlineAt: null } });
}
