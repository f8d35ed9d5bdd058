import type { SlotId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import { isFinalSlot } from './transitions.ts';
import type { LrmTrouble } from './model.ts';

/**
 * An LRM that cannot be asked, or that puts requests off. Nothing is decided by it: what runs goes
 * on, and what
 * was to be done is tried again (`service/core/outbox.ts`, `service/lrm/reconcile.ts`). It is told to
 * whoever waits,
 * and a job that the LRM has not taken for too long is given up (`submitTimeoutMs`).
 */

/** What was tried for a slot has not worked. Recorded once for each change of the LRM's words. */
export function troubled(
  draft: Draft,
  slotId: SlotId,
  { doing, kind, message }: Omit<LrmTrouble, 'since'>,
): void {
  const slot = draft.findSlot(slotId);
  if (!slot || isFinalSlot(slot.state)) return;
  const before = slot.lrmTrouble;
  if (before?.doing === doing && before.kind === kind && before.message === message) return;
  const since = before?.doing === doing ? before.since : draft.now;
  const deadlineAt =
    slot.state === 'requested'
      ? (slot.deadlineAt ?? since + draft.settings.submitTimeoutMs)
      : slot.deadlineAt;
  draft.putSlot({ ...slot, deadlineAt, lrmTrouble: { doing, kind, message, since } });
  draft.recordSlot('slot.lrm-trouble', slot, { reason: { code: `lrm_${kind}`, message } });
}

/** It has worked. */
export function untroubled(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  if (slot.lrmTrouble === null) return;
  draft.putSlot({ ...slot, lrmTrouble: null });
  draft.recordSlot('slot.lrm-answers', slot);
}

/** A pool's list cannot be had: nobody knows how the jobs of its slots are. */
export function unanswered(draft: Draft, pool: string, message: string): void {
  for (const { id, state, lrmJobId, lrmTrouble, ...slot } of draft.state.slots.values()) {
    if (slot.pool !== pool || isFinalSlot(state) || lrmJobId === null) continue;
    // That a cancel has not worked says more.
    if (lrmTrouble?.doing !== 'cancel') troubled(draft, id, { doing: 'list', kind: 'unavailable', message });
  }
}

/** A cancel that had not worked has. */
export function cancelled(draft: Draft, slotId: SlotId): void {
  if (draft.findSlot(slotId)?.lrmTrouble?.doing === 'cancel') untroubled(draft, slotId);
}
