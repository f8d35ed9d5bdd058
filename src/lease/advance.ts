import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { Reason, WorkspaceState } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { drainedReason } from './drained-nodes.ts';
import { deploy } from './deploy.ts';
import { givenUp, replaceLost } from './heal.ts';
import { place } from './placement.ts';
import { keptUntil, needOf, roomIn } from './policies/held.ts';
import { releaseSlot } from './slot.ts';
import { tellPeers } from './tell-peers.ts';
import { isFinalVm, isUpVm } from './transitions.ts';
import type { Slot, Vm } from './model.ts';
import { allOff, beginEnding, endIfOff, isLive, startLease } from './workspace.ts';

/**
 * What follows from what is: called at the end of every input, it takes a slot and its workspaces as far as they go now. It looks at states, not
 * at what happened, so it does not matter in which order, how often, or how late things were reported.
 */
export function advance(draft: Draft, slotId: SlotId): void {
  firstPilot(draft, slotId);
  gangComplete(draft, slotId);
  const workspaces = draft.workspacesIn(draft.slot(slotId));
  for (const { id } of workspaces) {
    allOrNone(draft, id);
    tellPeers(draft, id);
  }
  if (workspaces.every(({ id }) => !isLive(draft.workspace(id)) && allOff(draft, id)))
    slotUnneeded(draft, slotId);
  suspendedUnneeded(draft, slotId);
  nodesLeaving(draft, slotId);
  for (const { id } of workspaces) endIfOff(draft, id);
}

/** The first pilot has reported: the others must follow in time. */
export function firstPilot(draft: Draft, slotId: SlotId): void {
  const { state, nodes } = draft.slot(slotId);
  if (nodes.length === 0 || (state !== 'requested' && state !== 'queued')) return;
  draft.moveSlot(slotId, 'reserving', {
    patch: { deadlineAt: draft.now + draft.settings.reserveTimeoutMs },
  });
}

/** All nodes are reserved: place what has waited for them and start it, all VMs at once. */
function gangComplete(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  const waiting = draft.workspacesIn(slot).filter(isLive);
  if (slot.state !== 'reserving' || (waiting.length === 0 && !slot.warm)) return;
  const reserved = slot.nodes.filter(({ state }) => state === 'reserved');
  if (reserved.length < slot.nodesWanted) return;
  draft.moveSlot(slotId, 'ready', { patch: { deadlineAt: null } });
  for (const { id } of waiting) placeAndDeploy(draft, slotId, id);
}

function placeAndDeploy(draft: Draft, slotId: SlotId, id: WorkspaceId): void {
  const slot = draft.slot(slotId);
  const vms = draft.vmsOf(id);
  const settings = draft.settingsOf(slot);
  const placement = place(
    vms.map(vm => needOf(vm, settings)),
    roomIn(slot, draft.vmsIn(slot), settings),
  );
  if (placement) return deploy(draft, id, placement);
  const message = `the ${vms.length} VMs do not fit on the slot's ${slot.nodes.length} nodes`;
  const reason = { code: 'does_not_fit', message };
  beginEnding(draft, id, 'failed', reason, { graceMs: 0, order: false });
}

/** An ensemble runs whole or not at all: it begins when all of its VMs run, and one that fails ends it. */
function allOrNone(draft: Draft, workspaceId: WorkspaceId): void {
  const { state, keepPartial } = draft.workspace(workspaceId);
  if (state !== 'deploying' && state !== 'running') return;
  replaceLost(draft, workspaceId);
  const vms = draft.vmsOf(workspaceId);
  const lost = keepPartial ? noneLeft(vms) : firstLost(vms, state);
  if (lost) return beginEnding(draft, workspaceId, 'failed', lost);
  if (allOff(draft, workspaceId)) {
    const message = 'no VM is left: all guests have shut themselves down, or were destroyed';
    return beginEnding(draft, workspaceId, 'destroyed', { code: 'guest_shutdown', message });
  }
  const settled = vms.every(vm => isUpVm(vm.state) || isFinalVm(vm.state));
  if (state === 'deploying' && settled) startLease(draft, workspaceId);
}

/** Why the whole ensemble ends; undefined: it goes on, and once it is settled all of its VMs are up. */
function firstLost(vms: readonly Vm[], state: WorkspaceState): Reason | undefined {
  const failed = vms.find(vm => vm.state === 'failed');
  if (failed) return givenUp(failed);
  const early = state === 'deploying' ? vms.find(vm => vm.state === 'terminated') : undefined;
  if (!early) return undefined;
  const message = `VM ${early.name} on node ${early.node} ended before all VMs of the ensemble ran`;
  return { code: 'vm_ended_early', message };
}

/**
 * With `keepPartial` a lease begins with the VMs that there are, and ends with the last of them:
 * why, if one has failed.
 */
function noneLeft(vms: readonly Vm[]): Reason | undefined {
  const failed = vms.find(vm => vm.state === 'failed');
  if (!failed || !vms.every(vm => isFinalVm(vm.state))) return undefined;
  const message = `no VM is left; ${failed.name} on node ${failed.node} failed: ${failed.reason?.message ?? 'no reason given'}`;
  return { code: failed.reason?.code ?? 'vm_failed', message };
}

/** Nobody is in the slot any more: it is given back, or kept for the next one. A warm slot waits for its first one. */
function slotUnneeded(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  const { state, workspaceIds, deadlineAt } = slot;
  const awaited = slot.warm && workspaceIds.length === 0;
  if (state === 'ready') {
    const until = keptUntil(slot, draft.settingsOf(slot), draft.now);
    if (until === undefined) return releaseSlot(draft, slotId, 0, whyNotKept(draft, slot));
    if (deadlineAt !== until) draft.putSlot({ ...slot, deadlineAt: until });
    if (deadlineAt === null) draft.recordSlot('slot.idle', slot);
  } else if (!awaited && (state === 'requested' || state === 'queued' || state === 'reserving')) {
    releaseSlot(draft, slotId, 0, lastReason(draft, slot));
  }
}

/** A slot that was kept is given up for a drained node; one that somebody has just left goes with him. */
function whyNotKept(draft: Draft, slot: Slot): Reason | undefined {
  const wasKept = slot.deadlineAt !== null || slot.workspaceIds.length === 0;
  return (wasKept ? drainedReason(slot) : null) ?? lastReason(draft, slot);
}

function lastReason(draft: Draft, { workspaceIds }: Slot): Reason | undefined {
  const last = workspaceIds.at(-1);
  return (last === undefined ? undefined : draft.workspace(last).reason) ?? undefined;
}

/**
 * Guests of a suspended job cannot shut down: when all that is there is to end, the job is
 * cancelled at once.
 */
function suspendedUnneeded(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  const workspaces = draft.workspacesIn(slot);
  if (slot.suspendedSince === null || workspaces.length === 0 || slot.state === 'releasing') return;
  if (workspaces.every(workspace => !isLive(workspace)))
    releaseSlot(draft, slotId, 0, workspaces.at(-1)?.reason ?? undefined);
}

/** A preempted slot is `releasing` when all of its pilots are. */
function nodesLeaving(draft: Draft, slotId: SlotId): void {
  const { state, nodes } = draft.slot(slotId);
  if (state !== 'preempting') return;
  const leaving = nodes.every(
    node => node.state === 'releasing' || node.state === 'released' || node.state === 'failed',
  );
  if (leaving) draft.moveSlot(slotId, 'releasing');
}
