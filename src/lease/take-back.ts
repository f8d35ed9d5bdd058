import type { SlotId } from '../protocol/ids.ts';
import type { Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { orderRelease } from './slot.ts';
import { causeOfTaking } from './walltime.ts';
import { beginEnding, graceWithinLease } from './workspace.ts';

/**
 * A slot is taken back before its leases are over: all of its pilots are told directly, not waiting for the LRM's own propagation (DESIGN §7), and its workspaces end as
 * preempted, or at their job's walltime. `leaving`: the node whose pilot leaves by itself, because the LRM has told it.
 */
export function takeBack(draft: Draft, slotId: SlotId, reason: Reason, leaving?: string): void {
  const { state } = draft.slot(slotId);
  if (state !== 'reserving' && state !== 'ready') return;
  const { shutdownGraceMs, releaseTimeoutMs, site } = draft.settingsOf(draft.slot(slotId));
  // As the pilot itself does it: half of the LRM's warning time.
  const shareMs = Math.floor((site?.killDelayMs ?? shutdownGraceMs) / 2);
  const workspaces = draft.workspacesIn(draft.slot(slotId));
  const leftMs = Math.min(shareMs, ...workspaces.map(({ id }) => graceWithinLease(draft, id, shareMs)));
  const graceMs = Math.min(shutdownGraceMs, leftMs);
  draft.moveSlot(slotId, 'preempting', {
    reason,
    patch: { deadlineAt: draft.now + graceMs + releaseTimeoutMs },
  });
  // A pilot that is leaving by itself is told only of a lease that ends sooner than it thinks.
  orderRelease(draft, draft.slot(slotId), graceMs, leftMs < shareMs ? undefined : leaving);
  for (const workspace of workspaces)
    beginEnding(draft, workspace.id, causeOfTaking(workspace, reason), reason, { graceMs, order: false });
}
