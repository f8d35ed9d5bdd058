import type { SlotId } from '../protocol/ids.ts';
import { preemptionGraceMs } from '../protocol/preemption.ts';
import type { Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { orderRelease } from './slot.ts';
import { causeOfTaking } from './walltime.ts';
import { beginEnding, graceWithinLease } from './workspace.ts';

/**
 * The nodes of a slot are wanted back before its leases are over: all of its pilots are ordered to
 * release them, and its workspaces end as preempted, or at their job's walltime. One that is being
 * released anyway is released sooner. `leaving`: the node whose pilot leaves by itself, because the
 * LRM has told it.
 */
export function preempt(draft: Draft, slotId: SlotId, reason: Reason, leaving?: string): void {
  const slot = draft.slot(slotId);
  const { shutdownGraceMs, releaseTimeoutMs, site } = draft.settingsOf(slot);
  const shareMs = preemptionGraceMs(site?.killDelayMs ?? shutdownGraceMs);
  const workspaces = draft.workspacesIn(slot);
  const leftMs = Math.min(shareMs, ...workspaces.map(({ id }) => graceWithinLease(draft, id, shareMs)));
  const graceMs = Math.min(shutdownGraceMs, leftMs);
  const isHeld = slot.state === 'reserving' || slot.state === 'ready';
  if (!isHeld && slot.state !== 'releasing') return;
  // A pilot that is leaving by itself is told only of a lease that ends sooner than it thinks.
  orderRelease(draft, slot, graceMs, leftMs < shareMs ? undefined : leaving);
  if (!isHeld) return;
  const patch = { deadlineAt: draft.now + graceMs + releaseTimeoutMs };
  draft.moveSlot(slotId, 'preempting', { reason, patch });
  for (const workspace of workspaces)
    beginEnding(draft, workspace.id, causeOfTaking(workspace, reason), reason, { graceMs, order: false });
}
