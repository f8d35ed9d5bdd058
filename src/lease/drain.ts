import type { SlotId } from '../protocol/ids.ts';
import { drainedReason, drainingReason, isDraining } from './drained-nodes.ts';
import type { Draft } from './draft.ts';
import { preempt } from './preempt.ts';
import { advance } from './advance.ts';
import { patchNode } from './slot.ts';
import type { ObservedJob, SlotNode } from './model.ts';

/**
 * An administrator takes a node out of service. The LRM lets jobs that run there go on, so it is for us to say what becomes of leases (`leases.drain` in the site file):
 *
 *   wait    the node's reason says so; what runs goes on to its end, nothing new is put into the slot, and one that nobody is in is given back
 *   leave   the same, and the slot is taken back, as if the LRM had told its pilots: its workspaces end as preempted
 */
export function followDrains(draft: Draft, slotId: SlotId, draining: ObservedJob['draining']): void {
  const { state, nodes } = draft.slot(slotId);
  // A slot that is being given back leaves its nodes anyway.
  if (draining === null || (state !== 'reserving' && state !== 'ready')) return;
  const words = new Map(draining.map(({ node, reason }) => [node, reason]));
  for (const node of nodes) followDrain(draft, slotId, node, words.get(node.name));
  const reason = drainedReason(draft.slot(slotId));
  const leaves = reason !== null && draft.settings.drain === 'leave';
  if (leaves) preempt(draft, slotId, reason);
  if (leaves || draft.slot(slotId).nodes !== nodes) advance(draft, slotId);
}

/** `words`: the administrator's; undefined: the node is not drained. */
function followDrain(draft: Draft, slotId: SlotId, node: SlotNode, words: string | undefined): void {
  const slot = draft.slot(slotId);
  if (words === undefined) {
    if (!isDraining(node)) return;
    patchNode(draft, slotId, node.name, { reason: null });
    draft.recordSlot('node.resumed', slot, { node: node.name });
    return;
  }
  const reason = drainingReason(words);
  // One that is leaving, or has something else to tell, keeps that.
  const tells = node.reason !== null && !isDraining(node);
  if (tells || (node.state !== 'reserving' && node.state !== 'reserved')) return;
  if (node.reason?.message === reason.message) return;
  patchNode(draft, slotId, node.name, { reason });
  if (!isDraining(node)) draft.recordSlot('node.draining', slot, { node: node.name, reason });
}
