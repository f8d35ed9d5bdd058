import type { WorkspaceId } from '../protocol/ids.ts';
import { formatDuration, formatMoment } from '../protocol/units.ts';
import type { Draft } from './draft.ts';
import { endMarginMs } from './policies/slot-request.ts';
import { overQuota } from './quota.ts';
import { conflict, noSuchWorkspace } from './request.ts';
import { suspendedRefusal } from './suspension.ts';
import { isUpVm } from './transitions.ts';
import type { Refusal } from './decision.ts';
import type { LeaseInput } from './inputs.ts';
import type { Vm, Workspace } from './model.ts';
import type { LeaseSettings } from './settings.ts';
import { latestEnd } from './workspace.ts';

/**
 * What can be done about a lease's end: it is announced, and it can be put off.
 *
 *   startsAt ─────────────┬──────────────┬──────── endsAt ── extended ──► endsAt
 *                      notice         notice        └── notices that are ahead again are given again
 */

/** Puts the end off, when the slot lasts and the site allows it; or says what would work. */
export function extend(
  draft: Draft,
  { workspaceId, by, durationMs }: Extract<LeaseInput, { type: 'extend' }>,
): Refusal | undefined {
  const workspace = draft.findWorkspace(workspaceId);
  if (!workspace) return noSuchWorkspace(workspaceId);
  const { state, name, startsAt, endsAt } = workspace;
  if (state !== 'running' || startsAt === null || endsAt === null)
    return conflict(`workspace ${name} is ${state}: only a lease that runs can be extended`);
  const suspended = suspendedRefusal(draft, workspace);
  if (suspended) return suspended;
  const until = endsAt + durationMs;
  const longer = {
    ...workspace,
    endsAt: until,
    durationMs: workspace.durationMs + durationMs,
    noticesGivenMs: workspace.noticesGivenMs.filter(noticeMs => until - noticeMs <= draft.now),
  };
  const refusal =
    tooLong(until - startsAt, draft.settings) ??
    overQuota(draft, longer) ??
    slotTooShort(draft, longer, durationMs, latestEnd(draft, workspace) - endsAt);
  if (refusal) return refusal;
  draft.putWorkspace(longer);
  const message = `extended by ${by} by ${formatDuration(durationMs)}, until ${formatMoment(until)}`;
  draft.record('workspace.extended', {
    workspaceId,
    slotId: workspace.slotId,
    reason: { code: 'extended', message },
  });
  return undefined;
}

function tooLong(leaseMs: number, { maxDurationMs }: LeaseSettings): Refusal | undefined {
  if (leaseMs <= maxDurationMs) return undefined;
  const message = `the lease would last ${formatDuration(leaseMs)}; this site's longest is ${formatDuration(maxDurationMs)}`;
  return { code: 'exceeds_site', message };
}

/** The slot's end was fixed when its job was submitted; only the LRM can move it. */
function slotTooShort(
  draft: Draft,
  longer: Workspace,
  wantedMs: number,
  roomMs: number,
): Refusal | undefined {
  if (wantedMs <= roomMs) return undefined;
  const slot = draft.slot(longer.slotId);
  // Whole seconds, so that what is advised is not refused again.
  const possibleMs = Math.max(0, Math.floor(roomMs / 1_000) * 1_000);
  const message = `the batch job that carries workspace ${longer.name} ends too soon for ${formatDuration(wantedMs)} more`;
  const hint =
    possibleMs === 0
      ? 'lease another workspace for the time after it'
      : `it can be extended by ${formatDuration(possibleMs)} at most`;
  const until = (longer.endsAt ?? 0) + endMarginMs(draft.settingsOf(slot));
  const ifJobLasts =
    slot.lrmJobId === null ? {} : { ifJobLasts: { slotId: slot.id, jobId: slot.lrmJobId, until } };
  return { ...conflict(message, hint), ...ifJobLasts };
}

/** When the next notice is due; infinite when all have been given. A lease that is shorter than a notice's time is not told of it. */
export function nextNoticeAt(workspace: Workspace, settings: LeaseSettings): number {
  return Math.min(...noticesAhead(workspace, settings).map(noticeMs => (workspace.endsAt ?? 0) - noticeMs));
}

function noticesAhead(
  { startsAt, endsAt, noticesGivenMs }: Workspace,
  { endNoticesMs }: LeaseSettings,
): readonly number[] {
  if (startsAt === null || endsAt === null) return [];
  return endNoticesMs.filter(noticeMs => startsAt < endsAt - noticeMs && !noticesGivenMs.includes(noticeMs));
}

/** Tells the owner and every guest that is up. Of several notices that are due at once (nobody was there to give them) only the last is given. */
export function giveNotices(draft: Draft, id: WorkspaceId): void {
  const workspace = draft.workspace(id);
  const endsAt = workspace.endsAt ?? draft.now;
  const due = noticesAhead(workspace, draft.settings).filter(noticeMs => endsAt - noticeMs <= draft.now);
  if (due.length === 0) return;
  draft.putWorkspace({ ...workspace, noticesGivenMs: [...workspace.noticesGivenMs, ...due] });
  const at = formatMoment(endsAt);
  const message = `the lease ends in ${formatDuration(Math.min(...due))}, at ${at}`;
  const reason = { code: 'ends_soon', message };
  draft.record('workspace.ends-soon', { workspaceId: id, slotId: workspace.slotId, reason });
  for (const vm of draft.vmsOf(id)) tellGuest(draft, vm, `${endsAt - Math.min(...due)}`, message);
}

function tellGuest(draft: Draft, { id: vmId, slotId, node, state }: Vm, what: string, message: string): void {
  if (node === null || !isUpVm(state)) return;
  draft.orderPilot(slotId, node, `tell:${vmId}:${what}`, { kind: 'tell-guest', vmId, message });
}
