import { targetsOf, type VmOperation } from '../protocol/cluster.ts';
import type { VmState } from '../protocol/states.ts';
import type { Draft } from './draft.ts';
import { conflict, noSuchWorkspace } from './request.ts';
import { advance } from './advance.ts';
import type { Refusal } from './decision.ts';
import type { LeaseInput } from './inputs.ts';
import type { Vm } from './model.ts';
import { suspendedRefusal } from './suspension.ts';
import { stopVm } from './vm.ts';
import { graceWithinLease } from './workspace.ts';

/**
 * What a client can have done to VMs while their lease runs. The core passes the order on; what becomes of it is told by the pilots' reports.
 *
 *   running ─ pause ─► paused ─ resume ─► running ─ reboot ─► rebooting ─► running
 *      └─ shutdown ─► stopping ─► stopped ─ start ─► starting ─► running          destroy: for good, from any of them
 */
const possibleIn: Readonly<Record<VmOperation, readonly VmState[]>> = {
  start: ['stopped'],
  shutdown: ['running', 'paused', 'rebooting'],
  pause: ['running'],
  resume: ['paused'],
  reboot: ['running', 'paused'],
  destroy: ['pending', 'propagating', 'starting', 'running', 'paused', 'rebooting', 'stopping', 'stopped'],
};
/** In these the VM is already as it was asked to be: nothing is to be done, and nothing is refused. */
const alreadyIn: Readonly<Record<VmOperation, readonly VmState[]>> = {
  start: ['running', 'starting', 'rebooting'],
  shutdown: ['stopping', 'stopped', 'terminated'],
  pause: ['paused'],
  resume: ['running'],
  reboot: ['rebooting'],
  destroy: ['terminated', 'failed'],
};

/** Orders an operation for a VM, for those of a group, or for all; for all of them or, when it is not possible for one, for none. */
export function operate(draft: Draft, input: Extract<LeaseInput, { type: 'operate' }>): Refusal | undefined {
  const workspace = draft.findWorkspace(input.workspaceId);
  if (!workspace) return noSuchWorkspace(input.workspaceId);
  const { operation, target } = input;
  const vms = targetsOf(draft.vmsOf(workspace.id), target);
  if (workspace.state !== 'running')
    return conflict(
      `workspace ${workspace.name} is ${workspace.state}: its VMs take orders while it is running`,
    );
  const suspended = suspendedRefusal(draft, workspace);
  if (suspended) return suspended;
  if (vms.length === 0)
    return { code: 'not_found', message: `workspace ${workspace.name} has no VM and no group ${target}` };
  const acting = vms.filter(({ state }) => !alreadyIn[operation].includes(state));
  const unable = acting.find(({ state }) => !possibleIn[operation].includes(state));
  if (unable)
    return conflict(
      `VM ${unable.name} is ${unable.state}: ${operation} is not possible`,
      'nothing was ordered for any VM',
    );
  const graceMs = graceWithinLease(draft, workspace.id, input.graceMs ?? draft.settings.shutdownGraceMs);
  for (const vm of acting) order(draft, vm, operation, graceMs, input.by);
  advance(draft, workspace.slotId);
  return undefined;
}

function order(draft: Draft, vm: Vm, operation: VmOperation, graceMs: number, by: string): void {
  const reason = { code: operation, message: `${operation} ordered by ${by}` };
  draft.recordVm(`vm.ordered`, vm, reason);
  if (operation === 'destroy') return stopVm(draft, vm, draft.slot(vm.slotId), 0, true);
  const orders = vm.orders + 1;
  draft.putVm({ ...vm, orders });
  // One that runs is on a node.
  const node = vm.node ?? '';
  // With its time: after a restore from a backup the count is one that the pilot has heard before.
  const key = `operate:${vm.id}:${draft.now}:${orders}`;
  draft.orderPilot(vm.slotId, node, key, { kind: 'operate-vm', vmId: vm.id, operation, graceMs });
}
