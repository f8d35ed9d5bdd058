import type { SlotId, WorkspaceId } from '../protocol/ids.ts';
import type { Draft } from './draft.ts';
import { place } from './placement.ts';
import { vmsPerNode } from './policies/policy.ts';
import { releaseSlot } from './slot.ts';
import { isFinalVm, isUpVm } from './transitions.ts';
import type { SlotNode, Vm } from './types.ts';
import { allOff, beginEnding, endIfOff, isLive, startLease } from './workspace.ts';

/**
 * What follows from what is: called at the end of every input, it takes a slot and its workspace as far as they go now. It looks at states, not
 * at what happened, so it does not matter in which order, how often, or how late things were reported.
 */
export function settle(draft: Draft, slotId: SlotId): void {
  const { workspaceId } = draft.slot(slotId);
  firstPilot(draft, slotId);
  gangComplete(draft, slotId);
  allOrNone(draft, slotId);
  if (!isLive(draft.workspace(workspaceId)) && allOff(draft, workspaceId)) slotUnneeded(draft, slotId);
  nodesLeaving(draft, slotId);
  endIfOff(draft, workspaceId);
}

/** The first pilot has reported: the others must follow in time. */
export function firstPilot(draft: Draft, slotId: SlotId): void {
  const { state, nodes } = draft.slot(slotId);
  if (nodes.length === 0 || (state !== 'requested' && state !== 'queued')) return;
  draft.moveSlot(slotId, 'reserving', {
    patch: { deadlineAt: draft.now + draft.settings.reserveTimeoutMs },
  });
}

/** All nodes are reserved: place the ensemble and start it, all VMs at once. */
function gangComplete(draft: Draft, slotId: SlotId): void {
  const slot = draft.slot(slotId);
  if (slot.state !== 'reserving' || !isLive(draft.workspace(slot.workspaceId))) return;
  const reserved = slot.nodes.filter(({ state }) => state === 'reserved');
  if (reserved.length < slot.nodesWanted) return;
  draft.moveSlot(slotId, 'ready', { patch: { deadlineAt: null } });
  deploy(draft, slotId, reserved);
}

function deploy(draft: Draft, slotId: SlotId, nodes: readonly SlotNode[]): void {
  const { settings } = draft;
  const { workspaceId, memoryMiBPerNode, cpusPerNode } = draft.slot(slotId);
  const vms = draft.vmsOf(workspaceId);
  const placement = place(
    vms.map(({ id, memoryMiB, cpus }) => ({ id, memoryMiB: memoryMiB + settings.vmmOverheadMiB, cpus })),
    nodes.map(({ name }) => ({
      name,
      memoryMiB: memoryMiBPerNode,
      cpus: cpusPerNode,
      vms: vmsPerNode(settings.policy),
    })),
  );
  if (!placement) {
    const message = `the ${vms.length} VMs do not fit on the slot's ${nodes.length} nodes`;
    beginEnding(
      draft,
      workspaceId,
      'failed',
      { code: 'does_not_fit', message },
      { graceMs: 0, order: false },
    );
    return;
  }
  draft.moveWorkspace(workspaceId, 'deploying', {
    patch: { deployDeadlineAt: draft.now + settings.deployTimeoutMs },
  });
  for (const vm of vms) {
    const node = placement.get(vm.id) ?? null;
    if (node === null) continue;
    const placed = { ...vm, node };
    draft.putVm(placed);
    draft.recordVm('vm.placed', placed, null);
    draft.owe({ kind: 'pilot.start-vm', key: `start:${vm.id}`, slotId, node, vmId: vm.id });
  }
}

/** An ensemble runs whole or not at all: it begins when all of its VMs run, and one that fails ends it. */
function allOrNone(draft: Draft, slotId: SlotId): void {
  const { workspaceId } = draft.slot(slotId);
  const { state, keepPartial } = draft.workspace(workspaceId);
  if (state !== 'deploying' && state !== 'running') return;
  const vms = draft.vmsOf(workspaceId);
  if (keepPartial) return someOrNone(draft, workspaceId, vms);
  const how = { graceMs: draft.settings.shutdownGraceMs, order: true };
  const failed = vms.find(vm => vm.state === 'failed');
  const early = state === 'deploying' ? vms.find(vm => vm.state === 'terminated') : undefined;
  if (failed) {
    const message = `VM ${failed.name} on node ${failed.node} failed: ${failed.reason?.message ?? 'no reason given'}`;
    beginEnding(draft, workspaceId, 'failed', { code: failed.reason?.code ?? 'vm_failed', message }, how);
  } else if (early) {
    const message = `VM ${early.name} on node ${early.node} ended before all VMs of the ensemble ran`;
    beginEnding(draft, workspaceId, 'failed', { code: 'vm_ended_early', message }, how);
  } else if (allOff(draft, workspaceId)) {
    const message = 'no VM is left: all guests have shut themselves down, or were destroyed';
    beginEnding(draft, workspaceId, 'destroyed', { code: 'guest_shutdown', message }, how);
  } else if (state === 'deploying' && vms.every(vm => isUpVm(vm.state))) {
    startLease(draft, workspaceId);
  }
}

/** With `keepPartial` the lease begins when no VM is on its way any more and one at least runs; it ends with the last one. */
function someOrNone(draft: Draft, workspaceId: WorkspaceId, vms: readonly Vm[]): void {
  const how = { graceMs: draft.settings.shutdownGraceMs, order: true };
  const failed = vms.find(vm => vm.state === 'failed');
  if (allOff(draft, workspaceId) && failed) {
    const message = `no VM is left; ${failed.name} on node ${failed.node} failed: ${failed.reason?.message ?? 'no reason given'}`;
    beginEnding(draft, workspaceId, 'failed', { code: failed.reason?.code ?? 'vm_failed', message }, how);
  } else if (allOff(draft, workspaceId)) {
    const message = 'no VM is left: all guests have shut themselves down, or were destroyed';
    beginEnding(draft, workspaceId, 'destroyed', { code: 'guest_shutdown', message }, how);
  } else if (
    draft.workspace(workspaceId).state === 'deploying' &&
    vms.every(vm => isUpVm(vm.state) || isFinalVm(vm.state))
  ) {
    startLease(draft, workspaceId);
  }
}

/** `exact`: a slot ends with its workspace. */
function slotUnneeded(draft: Draft, slotId: SlotId): void {
  const { state, workspaceId } = draft.slot(slotId);
  if (state === 'requested' || state === 'queued' || state === 'reserving' || state === 'ready')
    releaseSlot(draft, slotId, 0, draft.workspace(workspaceId).reason ?? undefined);
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
