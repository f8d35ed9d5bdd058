import type { PilotEffect } from '../../lease/decision.ts';
import type { SiteState } from '../../lease/model.ts';
import type { Order } from '../../protocol/orders.ts';
import { type PlanSite, planPeers, planVm } from './plan.ts';
import type { Secrets } from '../core/secrets.ts';

/** What orders are completed from. */
export interface OrderParts {
  readonly state: SiteState;
  readonly secrets: Pick<Secrets, 'workspace'>;
  readonly plan: PlanSite;
}

/** An order as its pilot gets it, from what is known now. Undefined: what it was for is gone. */
export function completeOrder(effect: PilotEffect, parts: OrderParts): Order | undefined {
  const { order, slotId, node } = effect;
  if (order.kind === 'start-vm') return startOrder(order.vmId, slotId, parts);
  if (order.kind === 'set-peers') return peersOrder(order.workspaceId, slotId, node, parts);
  return order;
}

function startOrder(vmId: string, slotId: string, { state, secrets, plan }: OrderParts): Order | undefined {
  const vm = state.vms.get(vmId);
  // An order to start that is older than the order to stop.
  if (!vm || vm.state === 'stopping' || vm.state === 'terminated' || vm.state === 'failed') return undefined;
  const workspace = state.workspaces.get(vm.workspaceId);
  const slot = state.slots.get(slotId);
  const kept = secrets.workspace(vm.workspaceId);
  if (!workspace || !slot || !kept) return undefined;
  const vms = workspace.vmIds.flatMap(id => state.vms.get(id) ?? []);
  return { kind: 'start-vm', vm: planVm(vm, { workspace, vms, slot, secrets: kept }, plan) };
}

function peersOrder(
  workspaceId: string,
  slotId: string,
  node: string,
  { state, plan }: OrderParts,
): Order | undefined {
  const workspace = state.workspaces.get(workspaceId);
  const slot = state.slots.get(slotId);
  if (!slot || workspace?.slotId !== slotId) return undefined;
  const vms = workspace.vmIds.flatMap(id => state.vms.get(id) ?? []);
  const bridges = planPeers(node, { workspace, vms, slot }, plan);
  return bridges.length === 0 ? undefined : { kind: 'set-peers', bridges };
}
