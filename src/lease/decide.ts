import type { SlotId, VmId, WorkspaceId } from '../protocol/ids.ts';
import { create } from './create.ts';
import { clockPassed } from './deadlines.ts';
import { Draft } from './draft.ts';
import { extend } from './lease-time.ts';
import { add, launch } from './launch.ts';
import { cancelled, troubled, unanswered } from './lrm-trouble.ts';
import { extended, observed, refused, submitted } from './lrm.ts';
import { operate } from './operations.ts';
import { connected, disconnected, notified } from './pilots.ts';
import { addUsed } from './quota.ts';
import { serviceStarted } from './recovery.ts';
import { noSuchWorkspace } from './request.ts';
import { isToBeRequeued } from './requeue.ts';
import { forgoRequeue } from './start-anew.ts';
import { advance } from './advance.ts';
import type { Decision, Outcome, Refusal } from './decision.ts';
import type { LeaseInput } from './inputs.ts';
import type { SiteState, Slot, Used, Vm, Workspace } from './model.ts';
import { beginEnding, endPending } from './workspace.ts';

export { nextDeadlineAt } from './deadlines.ts';

/**
 * The lease core: everything that is ever decided, is decided here. Pure: it changes nothing and
 * asks nobody; the same state, input and time give the same outcome. Inputs that no longer matter
 * (late, repeated, about what is over) give an empty decision. A refusal leaves no trace. An
 * exception is a bug of ours.
 */
export function decide(state: SiteState, input: LeaseInput, now: number): Outcome {
  const draft = new Draft(state, now);
  const refusal = refusing(draft, input);
  return refusal ? { ok: false, refusal } : { ok: true, decision: draft.decision() };
}

type ClientInput = 'create' | 'add' | 'launch' | 'extend' | 'operate' | 'destroy';

/** What clients ask for may be refused; what has happened may not. */
function refusing(draft: Draft, input: LeaseInput): Refusal | undefined {
  switch (input.type) {
    case 'create':
      return create(draft, input);
    case 'add':
      return add(draft, input);
    case 'launch':
      return launch(draft, input);
    case 'extend':
      return extend(draft, input);
    case 'operate':
      return operate(draft, input);
    case 'destroy':
      return destroy(draft, input.workspaceId, input.by);
    default:
      happened(draft, input);
      return undefined;
  }
}

function happened(draft: Draft, input: Exclude<LeaseInput, { type: ClientInput }>): void {
  switch (input.type) {
    case 'lrm.submitted':
      return submitted(draft, input.slotId, input.jobId);
    case 'lrm.refused':
      return refused(draft, input.slotId, input.message);
    case 'lrm.deferred':
      return troubled(draft, input.slotId, input);
    case 'lrm.cancelled':
      return cancelled(draft, input.slotId);
    case 'lrm.unanswered':
      return unanswered(draft, input.pool, input.message);
    case 'lrm.extended':
      return extended(draft, input.slotId, input.jobEndsAt);
    case 'lrm.observed':
      return observed(draft, input);
    case 'pilot.connected':
      return connected(draft, input);
    case 'pilot.disconnected':
      return disconnected(draft, input.slotId, input.node, input.hungUp);
    case 'pilot.notified':
      return notified(draft, input);
    case 'service.started':
      return serviceStarted(draft);
    case 'clock':
      return clockPassed(draft, input.slotId);
  }
}

/** A workspace that is ending or has ended already is what the client wants. */
function destroy(draft: Draft, workspaceId: WorkspaceId, by: string): Refusal | undefined {
  const workspace = draft.findWorkspace(workspaceId);
  if (!workspace) return noSuchWorkspace(workspaceId);
  // One that was never launched has no slot that anything could follow in.
  if (workspace.state === 'ended') return undefined;
  const reason = { code: 'destroyed', message: `destroyed by ${by}` };
  if (workspace.state === 'pending') {
    endPending(draft, workspaceId, 'destroyed', reason);
    return undefined;
  }
  if (isToBeRequeued(workspace)) forgoRequeue(draft, workspaceId);
  beginEnding(draft, workspaceId, 'destroyed', reason);
  advance(draft, workspace.slotId);
  return undefined;
}

/** True when a decision changes nothing and emits nothing. */
export function isEmpty(decision: Decision): boolean {
  const { workspaces, slots, vms, events, effects, retired } = decision;
  return [workspaces, slots, vms, events, effects, retired].every(({ length }) => length === 0);
}

/** The maps behind a `SiteState`, in the hands of their one writer. */
export interface SiteMaps {
  readonly workspaces: Map<WorkspaceId, Workspace>;
  readonly slots: Map<SlotId, Slot>;
  readonly vms: Map<VmId, Vm>;
  readonly used: Map<string, Used>;
}

/** The state of a site where nothing has happened yet. */
export function emptyMaps(): SiteMaps {
  return { workspaces: new Map(), slots: new Map(), vms: new Map(), used: new Map() };
}

/** Makes a decision the state, after it has been committed. */
export function applyDecision(maps: SiteMaps, decision: Decision): void {
  for (const workspace of decision.workspaces) maps.workspaces.set(workspace.id, workspace);
  for (const slot of decision.slots) maps.slots.set(slot.id, slot);
  for (const vm of decision.vms) maps.vms.set(vm.id, vm);
  for (const { slotId, workspaces, vmIds } of decision.retired) {
    if (slotId !== null) maps.slots.delete(slotId);
    for (const id of vmIds) maps.vms.delete(id);
    for (const workspace of workspaces) {
      maps.workspaces.delete(workspace.id);
      addUsed(maps.used, workspace);
    }
  }
}
