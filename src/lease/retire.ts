import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import { warmSlotsCounted } from './policies/held.ts';
import { isFinalSlot } from './transitions.ts';
import type { SiteState, Slot, Workspace } from './model.ts';

/**
 * Live state and history are apart: some time after its end a workspace leaves memory, with its VMs
 * and its slot, and whoever asks for it reads it in the store. So nothing that is done for each
 * input grows with what is over.
 *
 *   workspace ended ─┬─ its slot goes on without it ──────────────────► retired alone
 *                    └─ its slot and all that were in it have ended ──► retired with them
 *
 * Invariants: what is retired does not change and does not come back; what stays refers to nothing
 * that is retired; what retired workspaces have used goes on to count (`SiteState.used`).
 */

/**
 * How long after the end, in a service. Whoever may still speak of a lease that has just ended (a
 * pilot, a list of the LRM's that was asked for before) has done so by then; nobody else needs it in
 * memory, so no site has to choose.
 */
export const retireAfterMs = 600_000;
/** Due together at the next full minute, so that it takes few transactions. */
const everyMs = 60_000;
/** So many at a time: a site's whole past, after an upgrade, stops nobody for long. */
const mostAtOnce = 1_000;

/** What can leave together, and from when on. */
interface Leaving {
  readonly dueAt: number;
  readonly slot: Slot | null;
  readonly workspaces: readonly Workspace[];
}

/** When something is to be retired; `Infinity`: nothing has ended. */
export function nextRetirementAt(state: SiteState): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { dueAt } of leaving(state)) next = Math.min(next, dueAt);
  return Math.ceil(next / everyMs) * everyMs;
}

/** Retires what is due at the draft's `now`. */
export function retire(draft: Draft): void {
  const due: Leaving[] = [];
  let count = 0;
  for (const each of leaving(draft.state)) {
    if (each.dueAt > draft.now) continue;
    due.push(each);
    count += 1 + each.workspaces.length;
    if (count >= mostAtOnce) break;
  }
  if (due.length === 0) return;
  const vmIds = vmsOf(draft.state, due);
  for (const { slot, workspaces } of due)
    draft.retire({
      slotId: slot?.id ?? null,
      workspaces,
      vmIds: workspaces.flatMap(({ id }) => vmIds.get(id) ?? []),
    });
}

function* leaving(state: SiteState): Iterable<Leaving> {
  const { settings, slots, workspaces } = state;
  const { retireAfterMs: afterMs } = settings;
  const named = namedElsewhere(state);
  const endOfWorkspace = (workspace: Workspace): number =>
    named.has(workspace.id) ? Number.POSITIVE_INFINITY : endOf(workspace);
  const inOver = new Map<SlotId, Workspace[]>();
  for (const workspace of workspaces.values()) {
    const slot = slots.get(workspace.slotId);
    if (slot && isFinalSlot(slot.state)) {
      const others = inOver.get(slot.id);
      if (others) others.push(workspace);
      else inOver.set(slot.id, [workspace]);
    } else if (workspace.state === 'ended' && !slot?.workspaceIds.includes(workspace.id)) {
      yield { dueAt: endOfWorkspace(workspace) + afterMs, slot: null, workspaces: [workspace] };
    }
  }
  const counted = new Set(settings.pools.flatMap(pool => warmSlotsCounted(pool, slots)));
  for (const slot of slots.values()) {
    // A pilot that is still there is to be sent away by name.
    if (!isFinalSlot(slot.state) || counted.has(slot) || slot.nodes.some(({ connected }) => connected))
      continue;
    const all = inOver.get(slot.id) ?? [];
    yield { dueAt: Math.max(endOf(slot), ...all.map(endOfWorkspace)) + afterMs, slot, workspaces: all };
  }
}

/** Workspaces that were started anew are named by the slot that they had before, as long as it is there. */
function namedElsewhere({ slots, workspaces }: SiteState): ReadonlySet<WorkspaceId> {
  const named = new Set<WorkspaceId>();
  for (const { id: slotId, workspaceIds } of slots.values())
    for (const id of workspaceIds) if (workspaces.get(id)?.slotId !== slotId) named.add(id);
  return named;
}

/** One that will be started anew has not ended. */
function endOf({ endedAt }: Pick<Workspace | Slot, 'endedAt'>): number {
  return endedAt ?? Number.POSITIVE_INFINITY;
}

/** By workspace, also those that were lost and replaced. */
function vmsOf({ vms }: SiteState, due: readonly Leaving[]): ReadonlyMap<WorkspaceId, readonly VmId[]> {
  const found = new Map<WorkspaceId, VmId[]>();
  for (const { workspaces } of due) for (const { id } of workspaces) found.set(id, []);
  for (const { id, workspaceId } of vms.values()) found.get(workspaceId)?.push(id);
  return found;
}
