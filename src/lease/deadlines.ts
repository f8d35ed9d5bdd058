import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { Reason } from '../protocol/states.ts';
import { Draft } from './draft.ts';
import { isBeingReplaced } from './heal.ts';
import { askForWarmSlot } from './launch.ts';
import { giveNotices, nextNoticeAt } from './lease-time.ts';
import { idleCode, warmDueAt } from './policies/held.ts';
import { isRequeueDue, isToBeRequeued } from './requeue.ts';
import { nextRetirementAt, retire } from './retire.ts';
import { silentTooLong, silentUntil } from './pilots.ts';
import { advance } from './advance.ts';
import { startAnew } from './start-anew.ts';
import { endAll, forceRelease, releaseSlot } from './slot.ts';
import { isFinalSlot, isFinalVm, isUpVm } from './transitions.ts';
import type { SiteState, Slot, Vm, Workspace } from './model.ts';
import type { LeaseSettings } from './settings.ts';
import { stopVm } from './vm.ts';
import { beginEnding, endIfOff, endPending, expire, expiryGraceMs, overFrom } from './workspace.ts';
import { formatDuration, formatMoment } from '../protocol/units.ts';

/** Every wait has a deadline. All of them are here: when the next one is, and what happens then. */

/** The earliest moment at which `clock` has something to do; null when nothing waits for time. */
export function nextDeadlineAt(state: SiteState): number | null {
  let next = nextRetirementAt(state);
  for (const slot of state.slots.values()) next = Math.min(next, slotDeadlineAt(slot, state.settings));
  for (const workspace of state.workspaces.values())
    next = Math.min(next, workspaceDeadlineAt(state, workspace));
  for (const pool of state.settings.pools)
    next = Math.min(next, warmDueAt(pool, state.slots) ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(next) ? next : null;
}

/** When something is due in a slot; `Infinity`: nothing is. */
export function slotDeadlineAt(slot: Slot, settings: LeaseSettings): number {
  if (isFinalSlot(slot.state)) return Number.POSITIVE_INFINITY;
  // Nobody waits for pilots that are stopped.
  if (slot.suspendedSince !== null && (slot.state === 'queued' || slot.state === 'reserving'))
    return Number.POSITIVE_INFINITY;
  return Math.min(slot.deadlineAt ?? Number.POSITIVE_INFINITY, silentUntil(slot, settings));
}

function workspaceDeadlineAt(state: SiteState, workspace: Workspace): number {
  const never = Number.POSITIVE_INFINITY;
  if (workspace.state === 'pending') return pendingUntil(workspace);
  if (workspace.state === 'requested' || workspace.state === 'queued') return workspace.startBy ?? never;
  const suspended = (state.slots.get(workspace.slotId)?.suspendedSince ?? null) !== null;
  if (suspended) return workspace.state === 'deploying' ? (workspace.startBy ?? never) : never;
  if (workspace.state === 'deploying')
    return Math.min(workspace.deployDeadlineAt ?? never, workspace.startBy ?? never);
  if (workspace.state === 'running')
    return Math.min(
      stopAt(workspace, state.settings),
      nextNoticeAt(workspace, state.settings),
      workspace.deployDeadlineAt ?? never,
    );
  if (workspace.state !== 'ending') return never;
  // Once the slot is being released, its own deadline is what counts for VMs that are still there.
  if (isRequeueDue(state, workspace)) return 0;
  const off = workspace.vmIds.every(id => isFinalVm(state.vms.get(id)?.state ?? 'terminated'));
  if (off) return isToBeRequeued(workspace) ? never : overFrom(workspace);
  const waits = state.slots.get(workspace.slotId)?.state === 'ready';
  return waits ? (workspace.endingDeadlineAt ?? never) : never;
}

/** A workspace that nobody launches is given up after this long. */
const longestPendingMs = 24 * 3_600_000;

function pendingUntil({ createdAt, startBy }: Workspace): number {
  return Math.min(createdAt + longestPendingMs, startBy ?? Number.POSITIVE_INFINITY);
}

function pendingOverdue(draft: Draft, workspace: Workspace): void {
  const message = `it was not launched by ${formatMoment(pendingUntil(workspace))}`;
  endPending(draft, workspace.id, 'cancelled', { code: 'not_launched', message });
}

/** When the guests of a lease that expires are told to shut down. */
function stopAt(workspace: Workspace, settings: LeaseSettings): number {
  return (workspace.endsAt ?? Number.POSITIVE_INFINITY) - expiryGraceMs(workspace, settings);
}

/** Does all that is due at the draft's `now`. */
export function clockPassed(draft: Draft, slotId: SlotId): void {
  // One new slot at a time: the next deadline is at once when another pool or workspace wants one too.
  const { settings, slots } = draft.state;
  const anew = [...draft.state.workspaces.values()].find(workspace => isRequeueDue(draft.state, workspace));
  if (anew) return startAnew(draft, anew.id, slotId);
  const wanting = settings.pools.find(
    pool => (warmDueAt(pool, slots) ?? Number.POSITIVE_INFINITY) <= draft.now,
  );
  if (wanting) askForWarmSlot(draft, slotId, wanting.name);
  for (const slot of draft.state.slots.values())
    if (slotDeadlineAt(slot, draft.settings) <= draft.now) {
      slotOverdue(draft, slot);
      advance(draft, slot.id);
    }
  for (const workspace of draft.state.workspaces.values())
    if (workspaceDeadlineAt(draft.state, workspace) <= draft.now) {
      workspaceOverdue(draft, workspace.id);
      if (draft.findSlot(workspace.slotId)) advance(draft, workspace.slotId);
    }
  retire(draft);
}

function slotOverdue(draft: Draft, slot: Slot): void {
  const { id, state } = slot;
  if (silentUntil(slot, draft.settings) <= draft.now) return silentTooLong(draft, slot);
  if (state === 'releasing' || state === 'preempting') return forceRelease(draft, id);
  // Only one that nobody is in has a deadline.
  if (state === 'ready')
    return releaseSlot(draft, id, 0, { code: idleCode, message: 'nobody needed the slot any more' });
  const reason = state === 'requested' ? notTaken(draft, slot) : reserveTimeout(slot, draft.settings);
  endAll(draft, id, 'failed', reason);
  releaseSlot(draft, id, 0, reason);
}

function notTaken({ now, settings }: Draft, { lrmTrouble }: Slot): Reason {
  const forMs = lrmTrouble === null ? settings.submitTimeoutMs : now - lrmTrouble.since;
  const words = lrmTrouble?.message ?? 'the batch scheduler gave no reason';
  const message = `the batch scheduler has not accepted the job for ${formatDuration(forMs)}: ${words}`;
  return { code: 'submit_timeout', message };
}

function reserveTimeout(slot: Slot, settings: LeaseSettings): Reason {
  return { code: 'reserve_timeout', message: whoIsMissing(slot, settings) };
}

function whoIsMissing({ nodes, nodesWanted, lrmJobId }: Slot, { reserveTimeoutMs }: LeaseSettings): string {
  if (nodes.length === 0)
    return `job ${lrmJobId} runs, but no pilot has reported within ${formatDuration(reserveTimeoutMs)}: do its nodes have Node.js, and can they reach the service? (wsp doctor)`;
  const reserved = nodes.filter(node => node.state === 'reserved').length;
  return `only ${reserved} of ${nodesWanted} nodes were reserved within ${formatDuration(reserveTimeoutMs)} of the first pilot's report`;
}

function workspaceOverdue(draft: Draft, id: WorkspaceId): void {
  // What a slot's deadline has done in this same decision counts.
  const workspace = draft.workspace(id);
  switch (workspace.state) {
    case 'pending':
      return pendingOverdue(draft, workspace);
    case 'requested':
    case 'queued':
      return startByMissed(draft, workspace);
    case 'ended':
      return;
    case 'deploying':
      return (workspace.startBy ?? Number.POSITIVE_INFINITY) <= draft.now
        ? startByMissed(draft, workspace)
        : deployOverdue(draft, id);
    case 'running':
      if (stopAt(workspace, draft.settings) <= draft.now) return expire(draft, workspace);
      if ((workspace.deployDeadlineAt ?? Number.POSITIVE_INFINITY) <= draft.now)
        return replaceOverdue(draft, id);
      return giveNotices(draft, id);
    case 'ending':
      // Guests were destroyed by now, or their pilots do not answer: the nodes are told to release, and the slot's deadline takes over.
      if (draft.vmsOf(id).some(vm => !isFinalVm(vm.state))) dropSlot(draft, workspace);
      return endIfOff(draft, id);
  }
}

/** A VM does not end: the slot is given up with all that is in it, which a node that does not answer would have taken down anyway. */
function dropSlot(draft: Draft, { slotId }: Workspace): void {
  // Without names: the other workspaces may be somebody else's.
  const message = 'the slot was given up: VMs of another workspace in it do not end';
  const reason = { code: 'slot_given_up', message };
  releaseSlot(draft, slotId, 0);
  endAll(draft, slotId, 'failed', reason);
}

/** Without word from the LRM or the nodes the reason would be a riddle: it says what was being waited for. */
function startByMissed(draft: Draft, { id, startBy, slotId, state }: Workspace): void {
  if (startBy === null || startBy > draft.now) return;
  const { lrmReason, lrmTrouble } = draft.slot(slotId);
  const waiting =
    state === 'deploying'
      ? 'its VMs were still starting'
      : (lrmTrouble?.message ?? lrmReason ?? 'its nodes were not ready yet');
  const message = `it did not run by ${formatMoment(startBy)}: ${waiting}`;
  beginEnding(draft, id, 'cancelled', { code: 'start_by_missed', message }, { graceMs: 0 });
}

function deployOverdue(draft: Draft, id: WorkspaceId): void {
  if (draft.workspace(id).keepPartial && draft.vmsOf(id).some(vm => isUpVm(vm.state)))
    return giveUpLate(draft, id);
  const late = draft.vmsOf(id).filter(vm => !isUpVm(vm.state));
  failLate(draft, id, late, 'VMs did not run within', ' of the slot being ready');
}

/** What was to replace a VM is not there: it has failed too. */
function replaceOverdue(draft: Draft, id: WorkspaceId): void {
  const late = draft.vmsOf(id).filter(isBeingReplaced);
  draft.putWorkspace({ ...draft.workspace(id), deployDeadlineAt: null });
  if (late.length === 0) return;
  failLate(draft, id, late, 'VMs in place of lost ones did not run within', '');
}

function failLate(draft: Draft, id: WorkspaceId, late: readonly Vm[], what: string, since: string): void {
  const names = late.map(vm => `${vm.name} (${vm.state} on ${vm.node})`).join(', ');
  const message = `${what} ${formatDuration(draft.settings.deployTimeoutMs)}${since}: ${names}`;
  beginEnding(draft, id, 'failed', { code: 'deploy_timeout', message });
}

/** With `keepPartial`: what does not run by now is given up, and the lease begins with the rest when that has gone. */
function giveUpLate(draft: Draft, id: WorkspaceId): void {
  const workspace = draft.workspace(id);
  const late = draft.vmsOf(id).filter(vm => !isUpVm(vm.state) && !isFinalVm(vm.state));
  draft.putWorkspace({ ...workspace, deployDeadlineAt: draft.now + draft.settings.deployTimeoutMs });
  for (const vm of late) stopVm(draft, vm, draft.slot(workspace.slotId), 0, true);
}
