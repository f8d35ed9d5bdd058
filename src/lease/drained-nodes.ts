import type { Reason } from '../protocol/states.ts';
import type { Slot, SlotNode } from './model.ts';

/** How a drained node shows in the state: its reason says so for as long as it holds, beside what its pilot makes of it. */

const drainingCode = 'draining';
/** The reason's code of what was taken back, or given back, for a drained node. */
export const nodeDrainedCode = 'node_drained';

/** What a node's reason is while an administrator drains it; `words`: his, may be empty. */
export function drainingReason(words: string): Reason {
  return { code: drainingCode, message: `an administrator drains it${words === '' ? '' : `: ${words}`}` };
}

/** Whether the node is being taken out of service. One that is leaving has other things to tell. */
export function isDraining({ state, reason }: Pick<SlotNode, 'state' | 'reason'>): boolean {
  return (state === 'reserving' || state === 'reserved') && reason?.code === drainingCode;
}

/** Why nothing new is to begin in a slot: the first of its nodes that is drained; null: none is. */
export function drainedReason({ nodes }: Pick<Slot, 'nodes'>): Reason | null {
  const node = nodes.find(isDraining);
  if (!node?.reason) return null;
  return { code: nodeDrainedCode, message: `node ${node.name}: ${node.reason.message}` };
}
