import type { SlotId } from '../protocol/ids.ts';
import type { VmReport } from '../protocol/pilot.ts';
import type { ContextState, Reason } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { isTellingOfNode, isTellingOfVm } from './told.ts';
import { isFinalVm, isUpVm, vmTransitions } from './transitions.ts';
import type { Slot, SlotNode, Vm } from './model.ts';

/** What a guest may say of itself after what it said before. `none` never changes: the image has nothing to report. */
const contextSteps: Readonly<Record<ContextState, readonly ContextState[]>> = {
  none: [],
  pending: ['ok', 'error'],
  ok: ['error'],
  error: ['ok'],
};

/**
 * Takes over what a pilot says of a VM. Reports may skip states, come twice or late: a VM never goes backwards, and a final state stays.
 * A VM that runs where it was not placed is ordered to stop.
 */
export function applyReport(draft: Draft, slotId: SlotId, node: string, report: VmReport, at?: number): void {
  const vm = draft.findVm(report.vmId);
  if (!vm || vm.slotId !== slotId || vm.node !== node) {
    if (!isFinalVm(report.state)) stopStray(draft, slotId, node, report.vmId);
    return;
  }
  if (isFinalVm(vm.state)) return;
  applyContext(draft, vm, report, at);
  if (!vmTransitions[vm.state].includes(report.state)) {
    // What was ordered did not come about.
    const failed = report.state === vm.state && report.reason?.code === 'operation_failed';
    if (failed && isTellingOfVm(draft, vm.id))
      draft.recordVm('vm.operation-failed', vm, report.reason ?? null, at);
    return;
  }
  // An older order, carried out late by a pilot that was away: the order to stop is on its way after it.
  if (isUpVm(report.state) && draft.workspace(vm.workspaceId).state === 'ending') return;
  const move = at === undefined ? {} : { at };
  const reason = report.state === 'failed' ? (report.reason ?? unexplained) : report.reason;
  const isUntold = !isTellingOfVm(draft, vm.id) && !isFinalVm(report.state);
  draft.moveVm(vm.id, report.state, { ...move, reason, isUntold });
}

const unexplained: Reason = { code: 'vm_failed', message: 'its node gave no reason' };

function applyContext(draft: Draft, vm: Vm, report: VmReport, at?: number): void {
  // A guest that is started again begins anew.
  const anew = report.context === 'pending' && report.state === 'running' && vm.state !== 'running';
  if (vm.context === report.context || !(anew || contextSteps[vm.context].includes(report.context))) return;
  const reason = report.context === 'error' ? (report.reason ?? null) : null;
  const changed = { ...vm, context: report.context, reason };
  draft.putVm(changed);
  if (isTellingOfVm(draft, vm.id)) draft.recordVm(`vm.context.${report.context}`, changed, reason, at);
}

function stopStray(draft: Draft, slotId: SlotId, node: string, vmId: string): void {
  // Each is pending until its pilot has taken it.
  if (!isTellingOfNode(draft, slotId, node)) return;
  draft.orderPilot(slotId, node, `stray:${slotId}:${node}:${vmId}`, { kind: 'stop-vm', vmId, graceMs: 0 });
}

/** Its node answers to orders: what has begun to leave stops its VMs by itself. */
const obeys = (node: SlotNode | undefined): boolean =>
  node?.state === 'reserving' || node?.state === 'reserved';

/**
 * Sets a VM on its way out. One that was never placed is `terminated` at once. `order`: tell its pilot; false when the whole node is told to release.
 * Only a guest that is up gets `graceMs` to shut down.
 */
export function stopVm(draft: Draft, vm: Vm, slot: Slot, graceMs: number, order: boolean): void {
  if (isFinalVm(vm.state)) return;
  if (vm.node === null) {
    draft.moveVm(vm.id, 'terminated');
    return;
  }
  const givenMs = isUpVm(vm.state) || vm.state === 'stopping' ? graceMs : 0;
  if (vm.state !== 'stopping') draft.moveVm(vm.id, 'stopping');
  if (!order || !obeys(slot.nodes.find(({ name }) => name === vm.node))) return;
  const stop = { kind: 'stop-vm', vmId: vm.id, graceMs: givenMs } as const;
  draft.orderPilot(vm.slotId, vm.node, `stop:${vm.slotId}:${vm.id}`, stop);
}

/** Records that a VM is gone because what carried it is. Expected: it was to end; else it has failed, for `reason`. */
export function vmGone(draft: Draft, vm: Vm, expected: boolean, reason: Reason): void {
  if (isFinalVm(vm.state)) return;
  if (expected || vm.node === null) draft.moveVm(vm.id, 'terminated');
  else draft.moveVm(vm.id, 'failed', { reason });
}
