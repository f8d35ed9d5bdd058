import type { SlotId, VmId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';

/**
 * The history keeps for ever what pilots and, through them, guests say; and they may say as much as
 * they like. A life has some dozens of events; what goes to and fro beyond `mostTold` of them
 * changes the state, is counted, and is not written down any more. The steps that come once (a
 * node's, a VM's end) always are, and what clients order.
 */
export const mostTold = 256;
/** What comes of an order: the way down, the way up, and the guest's set-up. */
const mostOfOrder = 8;

/** Counts one more event of a node's pilot. Whether the history takes it. */
export function isTellingOfNode(draft: Draft, slotId: SlotId, name: string): boolean {
  const slot = draft.slot(slotId);
  const told = slot.nodes.find(node => node.name === name)?.told ?? 0;
  const nodes = slot.nodes.map(node => (node.name === name ? { ...node, told: told + 1 } : node));
  draft.putSlot({ ...slot, nodes });
  return told < mostTold;
}

/** Counts one more event of a VM. Whether the history takes it. */
export function isTellingOfVm(draft: Draft, id: VmId): boolean {
  const vm = draft.vm(id);
  draft.putVm({ ...vm, told: vm.told + 1 });
  return vm.told < mostTold + mostOfOrder * vm.orders;
}
