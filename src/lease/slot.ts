import type { SlotId } from '../protocol/ids.ts';
import type { EndCause, Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { isFinalSlot } from './transitions.ts';
import type { Slot, SlotNode } from './model.ts';
import type { LeaseSettings } from './settings.ts';
import { vmGone } from './vm.ts';
import { beginEnding, isLive } from './workspace.ts';

/**
 * Giving nodes back. A slot is `released` or `failed` only when the LRM says that its job is gone, so no slot is forgotten while its job lives.
 *
 *   release ordered ─► every known node has released ─┬─ gang complete: ask the LRM now ──────────┐
 *                 └─ too late: cancel the job ────────┴─ pilots missing: cancel the job ─► job gone ─► released
 */

export const hasLeft = ({ state }: SlotNode): boolean => state === 'released' || state === 'failed';

/** A pilot that lives tries to come back every 5 s at least (`pilot/session.ts`). */
const hungUpMs = 15_000;

/**
 * When a pilot that is silent is taken as lost: soon, if its node's kernel has closed its
 * connection, for then its process has ended; infinite: it is not silent.
 */
export function lostAt({ silentSince, hungUp }: SlotNode, { pilotSilenceMs }: LeaseSettings): number {
  if (silentSince === null) return Number.POSITIVE_INFINITY;
  return silentSince + (hungUp ? Math.min(hungUpMs, pilotSilenceMs) : pilotSilenceMs);
}

/** Whether nothing has been heard of a node's pilot for so long that it is taken as lost. */
export function isSilentTooLong(node: SlotNode, { now, settings }: Draft): boolean {
  return lostAt(node, settings) <= now;
}

/** Changes what is known of one of the slot's nodes. */
export function patchNode(draft: Draft, slotId: SlotId, name: string, patch: Partial<SlotNode>): void {
  const slot = draft.slot(slotId);
  const nodes = slot.nodes.map(node => (node.name === name ? { ...node, ...patch } : node));
  draft.putSlot({ ...slot, nodes });
}

/** The LRM's job is cancelled at most once a minute: what does not help is tried again, but the LRM is not flooded. */
const cancelPeriodMs = 60_000;

/** Owes the LRM's cancelling of a job. */
export function cancelJob(draft: Draft, slotId: SlotId, jobId: string): void {
  const slot = draft.findSlot(slotId);
  if (slot?.lrmJobId === jobId && !slot.cancelOrdered && slot.lrmState !== 'ending')
    draft.putSlot({ ...slot, cancelOrdered: true });
  const period = Math.floor(draft.now / cancelPeriodMs);
  draft.emit({ kind: 'lrm.cancel', key: `cancel:${slotId}:${jobId}:${period}`, slotId, jobId });
}

/** Orders all nodes that have not left, but `except`, to release; VMs on them get `graceMs`. */
export function orderRelease(draft: Draft, slot: Slot, graceMs: number, except?: string): void {
  for (const node of slot.nodes)
    if (!hasLeft(node) && node.name !== except) orderNodeRelease(draft, slot.id, node.name, graceMs);
}

/** Orders one node to release; VMs on it get `graceMs`. */
export function orderNodeRelease(draft: Draft, slotId: SlotId, node: string, graceMs: number): void {
  draft.orderPilot(slotId, node, `release:${slotId}:${node}:${graceMs}`, { kind: 'release', graceMs });
}

/** Gives the slot back, from whatever state it is in. */
export function releaseSlot(draft: Draft, slotId: SlotId, graceMs: number, reason?: Reason): void {
  const slot = draft.slot(slotId);
  if (isFinalSlot(slot.state)) return;
  if (slot.state !== 'releasing') {
    const deadlineAt = draft.now + graceMs + draft.settings.releaseTimeoutMs;
    draft.moveSlot(slotId, 'releasing', { reason, patch: { deadlineAt } });
  }
  orderRelease(draft, slot, graceMs);
  askWhetherGone(draft, slotId);
}

/** Once no pilot that could be told is left: the job should be gone, so ask; or pilots are missing or silent, and no order will reach them. */
export function askWhetherGone(draft: Draft, slotId: SlotId): void {
  const { state, nodes, nodesWanted, lrmJobId, suspendedSince } = draft.slot(slotId);
  if (state !== 'releasing' || lrmJobId === null) return;
  // Its pilots are stopped: no order reaches them.
  if (suspendedSince !== null) return cancelJob(draft, slotId, lrmJobId);
  const staying = nodes.filter(node => !hasLeft(node));
  if (!staying.every(node => isSilentTooLong(node, draft))) return;
  if (staying.length > 0 || nodes.length < nodesWanted) cancelJob(draft, slotId, lrmJobId);
  else draft.emit({ kind: 'lrm.observe', key: `observe:${slotId}`, slotId });
}

/** The orderly release has taken too long: the LRM takes the nodes back. Repeated until the job is gone. */
export function forceRelease(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  if (slot.state === 'preempting') draft.moveSlot(slotId, 'releasing');
  draft.putSlot({ ...draft.slot(slotId), deadlineAt: draft.now + draft.settings.releaseTimeoutMs });
  if (slot.lrmJobId !== null) cancelJob(draft, slotId, slot.lrmJobId);
}

/** The job is gone, and with it the slot, its pilots and its VMs. `cause` is what workspaces in it end with that were not ending already. */
export function slotGone(draft: Draft, slotId: SlotId, cause: EndCause, reason: Reason): void {
  const slot = draft.slot(slotId);
  if (isFinalSlot(slot.state)) return;
  const workspaces = draft.workspacesIn(slot);
  for (const workspace of workspaces)
    for (const vm of draft.vmsOf(workspace.id)) vmGone(draft, vm, !isLive(workspace), reason);

  const patch: Partial<Slot> = {
    endedAt: draft.now,
    deadlineAt: null,
    lrmTrouble: null,
    suspendedSince: null,
  };
  if (slot.state === 'preempting') draft.moveSlot(slotId, 'releasing');
  if (draft.slot(slotId).state === 'releasing') draft.moveSlot(slotId, 'released', { patch });
  else draft.moveSlot(slotId, 'failed', { reason, patch });

  endAll(draft, slotId, cause, reason);
}

/** Begins the end of every workspace in the slot, which is being given back, or is gone. */
export function endAll(draft: Draft, slotId: SlotId, cause: EndCause, reason: Reason, graceMs = 0): void {
  for (const { id } of draft.workspacesIn(draft.slot(slotId)))
    beginEnding(draft, id, cause, reason, { graceMs, order: false });
}
