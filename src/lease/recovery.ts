import type { Draft } from './draft.ts';
import { disconnected } from './pilots.ts';
import { isFinalSlot } from './transitions.ts';
import { keepCountedVnis } from './vnis.ts';

/**
 * The service is back after a stop or a crash, however long it was away. No pilot is connected to it, and what nodes had to say could not be said:
 * whatever waits for word from them is given the time again that pilots have to report. Ends of leases stay where they are.
 */
export function serviceStarted(draft: Draft): void {
  const leastAt = draft.now + draft.settings.reserveTimeoutMs;
  for (const { id } of draft.state.slots.values()) {
    for (const { name } of draft.slot(id).nodes) disconnected(draft, id, name);
    silentFromNow(draft, id);
    const slot = draft.slot(id);
    // A ready slot's deadline is how long it is kept for nobody.
    if (isFinalSlot(slot.state) || slot.state === 'ready' || (slot.deadlineAt ?? leastAt) >= leastAt)
      continue;
    draft.putSlot({ ...slot, deadlineAt: leastAt });
  }
  keepCountedVnis(draft);
  for (const { id } of draft.state.workspaces.values()) {
    const workspace = draft.workspace(id);
    const { state, deployDeadlineAt, endingDeadlineAt } = workspace;
    if (state === 'deploying' && (deployDeadlineAt ?? leastAt) < leastAt)
      draft.putWorkspace({ ...workspace, deployDeadlineAt: leastAt });
    if (state === 'ending' && (endingDeadlineAt ?? leastAt) < leastAt)
      draft.putWorkspace({ ...workspace, endingDeadlineAt: leastAt });
  }
}

/**
 * Pilots that were silent before could not be heard: the service was away, or they were stopped.
 */
export function silentFromNow(draft: Draft, slotId: string): void {
  const slot = draft.slot(slotId);
  if (slot.nodes.every(({ silentSince }) => silentSince === null || silentSince === draft.now)) return;
  const nodes = slot.nodes.map(node =>
    node.silentSince === null ? node : { ...node, silentSince: draft.now, hungUp: false },
  );
  draft.putSlot({ ...slot, nodes });
}
