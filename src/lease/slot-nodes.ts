import type { Draft } from './draft.ts';
import { orderNodeRelease } from './slot.ts';
import type { Slot, SlotNode } from './model.ts';

/**
 * Which pilots a slot takes: whoever has its secret may call a node what they like, so a name is
 * believed when the LRM has given the job such a node. Where the LRM does not say, or calls its
 * nodes otherwise than they call themselves, as many are as were asked for, and a few more, which
 * are sent away.
 */

/** More pilots than nodes that were asked for: the LRM has started the job twice. */
const fewMore = 4;

/**
 * The node's entry; made at its first word. One that comes when the slot is being given back is
 * sent away at once. Undefined: it is none of the slot's.
 */
export function ensureNode(draft: Draft, { id, state }: Slot, name: string): SlotNode | undefined {
  const slot = draft.slot(id);
  const known = slot.nodes.find(node => node.name === name);
  if (known) return known;
  if (!isAcceptable(slot, name)) return undefined;
  const node = newNode(name);
  draft.putSlot({ ...slot, nodes: [...slot.nodes, node] });
  const given = slot.nodes.filter(each => isGiven(slot, each.name));
  const enough = isGiven(slot, name) ? given : slot.nodes;
  if (enough.length >= slot.nodesWanted || state === 'releasing' || state === 'preempting')
    orderNodeRelease(draft, id, name, 0);
  return node;
}

function isAcceptable(slot: Slot, name: string): boolean {
  const { nodes, nodesWanted, jobNodes } = slot;
  if (jobNodes.includes(name)) return true;
  if (nodes.length >= nodesWanted + fewMore) return false;
  // One of its nodes is called as the LRM calls it, so all are.
  return isGiven(slot, name) || !nodes.some(each => isGiven(slot, each.name));
}

/** A name with a domain and one without are the same node's: LRMs and nodes do not agree on it. */
function isGiven({ jobNodes }: Slot, name: string): boolean {
  return jobNodes.some(given => given === name || labelOf(given) === labelOf(name));
}

function labelOf(name: string): string {
  return /^[\d.]+$/.test(name) ? name : (name.split('.')[0] ?? name).toLowerCase();
}

/** A node of which nothing has been heard yet. */
export function newNode(name: string): SlotNode {
  return {
    name,
    state: 'reserving',
    reason: null,
    address: null,
    connected: false,
    silentSince: null,
    hungUp: false,
    appliedSeq: 0,
    told: 0,
  };
}
