import type { EventType } from '../protocol/events.ts';
import type { NotificationBody } from '../protocol/pilot.ts';
import type { Reason, SlotNodeState } from '../protocol/states.ts';
import { formatDuration } from '../protocol/units.ts';
import type { Draft } from './draft.ts';
import { isDraining } from './drained-nodes.ts';
import { preempt } from './preempt.ts';
import { advance, firstPilot } from './advance.ts';
import {
  askWhetherGone,
  endAll,
  hasLeft,
  isSilentTooLong,
  lostAt,
  orderNodeRelease,
  patchNode,
  releaseSlot,
} from './slot.ts';
import { ensureNode, newNode } from './slot-nodes.ts';
import { isTellingOfNode } from './told.ts';
import { happenedAt, jobEndAt } from './told-times.ts';
import { isFinalSlot } from './transitions.ts';
import type { LeaseInput } from './inputs.ts';
import type { Slot, SlotNode, Vm, Workspace } from './model.ts';
import type { LeaseSettings } from './settings.ts';
import { applyReport, vmGone } from './vm.ts';
import { causeOfTaking, walltimeOver } from './walltime.ts';
import { beginEnding, graceWithinLease, isLive } from './workspace.ts';

/**
 * What pilots say. A node's own states only go forward:
 *
 *   reserving ─► reserved ─► preempting ─► releasing ─► released      any ─► failed
 */
type Connected = Extract<LeaseInput, { type: 'pilot.connected' }>;
type Notified = Extract<LeaseInput, { type: 'pilot.notified' }>;
type NodeBody = Extract<NotificationBody, { kind: 'node' }>;

const nodeRank: Readonly<Record<SlotNodeState, number>> = {
  reserving: 0,
  reserved: 1,
  preempting: 2,
  releasing: 3,
  released: 4,
  failed: 4,
};

/** A pilot is there, and says which VMs it has. What we believe of its node is corrected, both ways. */
export function connected(draft: Draft, input: Connected): void {
  const { slotId, node, address } = input;
  const slot = draft.findSlot(slotId);
  // The hub dismisses pilots of slots that are over; nothing here changes any more.
  if (!slot || isFinalSlot(slot.state)) return;
  const known = ensureNode(draft, slot, node);
  if (!known) return;
  if (!known.connected && isTellingOfNode(draft, slotId, node))
    recordNode(draft, slot, node, 'node.connected');
  if (!known.connected || known.address !== address)
    patchNode(draft, slotId, node, { connected: true, silentSince: null, hungUp: false, address });
  firstPilot(draft, slotId);
  for (const report of input.vms) applyReport(draft, slotId, node, report);
  const reported = new Set(input.vms.map(({ vmId }) => vmId));
  for (const vm of vmsOn(draft, slot, node)) if (!reported.has(vm.id)) missing(draft, vm);
  advance(draft, slotId);
}

/** A VM that has not begun may not have been ordered yet; one that was to stop will be reported, or be gone with the node. */
function missing(draft: Draft, vm: Vm): void {
  if (vm.state === 'pending' || vm.state === 'stopping') return;
  const message = 'the pilot reconnected and no longer reports this VM';
  vmGone(draft, vm, false, { code: 'vm_lost', message });
}

/** A broken connection decides nothing: pilots come back, and if not, the LRM tells, or `silentUntil` comes. */
export function disconnected(draft: Draft, slotId: string, node: string, hungUp = false): void {
  const slot = draft.findSlot(slotId);
  if (!slot?.nodes.some(({ name, connected }) => name === node && connected)) return;
  patchNode(draft, slotId, node, { connected: false, silentSince: draft.now, hungUp });
  if (isTellingOfNode(draft, slotId, node)) recordNode(draft, slot, node, 'node.disconnected');
}

/** When the first of a ready slot's silent pilots is taken as lost. Other slots have deadlines of their own. */
export function silentUntil({ state, nodes, suspendedSince }: Slot, settings: LeaseSettings): number {
  const never = Number.POSITIVE_INFINITY;
  if (state !== 'ready' || suspendedSince !== null) return never;
  const until = (node: SlotNode): number => (hasLeft(node) ? never : lostAt(node, settings));
  return Math.min(never, ...nodes.map(until));
}

/**
 * Nobody knows what runs on the nodes of pilots that are silent for too long: their processes may have been killed, or only their network is gone. The slot is
 * given up, its job cancelled as soon as the other pilots have left; its guests count as off when their pilots say so, or the LRM that its job is over.
 */
export function silentTooLong(draft: Draft, slot: Slot): void {
  const { shutdownGraceMs } = draft.settings;
  const lost = slot.nodes.filter(node => !hasLeft(node) && isSilentTooLong(node, draft));
  const names = lost.map(({ name }) => name);
  const silentMs = Math.max(...lost.map(({ silentSince }) => draft.now - (silentSince ?? draft.now)));
  const how = lost.some(({ hungUp }) => hungUp) ? ' (its node has closed the connection)' : '';
  const message = `the service has heard nothing from the pilot on ${names.join(', ')}${how} for ${formatDuration(silentMs)}`;
  const reason = { code: 'pilot_lost', message };
  endAll(draft, slot.id, 'failed', reason, shutdownGraceMs);
  releaseSlot(draft, slot.id, shutdownGraceMs, reason);
}

/** Applies a notification once. A gap in the numbers is no harm: the later states say it all. */
export function notified(draft: Draft, input: Notified): void {
  const { slotId, node, seq, body } = input;
  const slot = draft.findSlot(slotId);
  const appliedSeq = slot?.nodes.find(({ name }) => name === node)?.appliedSeq ?? 0;
  if (!slot || seq <= appliedSeq) return;
  const at = happenedAt(draft, slot, input.at);
  if (!ensureNode(draft, slot, node)) return;
  patchNode(draft, slotId, node, { appliedSeq: seq });
  if (body.kind === 'vm') {
    if (!isFinalSlot(slot.state)) applyReport(draft, slotId, node, body.report, at);
  } else {
    nodeReported(draft, slot, node, body, at, appliedSeq === 0);
  }
  advance(draft, slotId);
  if (body.kind === 'node' && hasLeft({ ...newNode(node), state: body.state })) askWhetherGone(draft, slotId);
}

function nodeReported(
  draft: Draft,
  slot: Slot,
  node: string,
  body: NodeBody,
  at: number,
  first: boolean,
): void {
  const known = draft.slot(slot.id).nodes.find(({ name }) => name === node);
  const address = body.address ?? known?.address ?? null;
  // An entry begins as `reserving`: the pilot's first word may say just that.
  const forward = first || !known || nodeRank[body.state] > nodeRank[known.state];
  if (!forward) return notUndone(draft, slot, node, body, at);
  // Being reserved does not put a node back into service: the LRM has said that it is drained, and only it can take that back.
  const drained = known && isDraining({ ...known, state: body.state }) ? known.reason : null;
  patchNode(draft, slot.id, node, { state: body.state, address, reason: body.reason ?? drained });
  recordNode(draft, slot, node, `node.${body.state}`, body.reason ?? null, at);
  if (isFinalSlot(slot.state)) return;
  const { jobEndsAt } = draft.slot(slot.id);
  // The LRM's own word, when there is one, counts more than the pilot's.
  if (body.jobEndsAt !== undefined && jobEndsAt === null)
    draft.putSlot({ ...draft.slot(slot.id), jobEndsAt: jobEndAt(draft, slot, body.jobEndsAt) });
  firstPilot(draft, slot.id);
  switch (body.state) {
    case 'reserving':
    case 'reserved':
      return;
    case 'preempting':
      preempted(draft, slot.id, node, body.reason);
      return;
    case 'releasing':
      nodeLeft(draft, slot.id, node);
      return;
    case 'released':
      nodeLeft(draft, slot.id, node);
      for (const vm of vmsOn(draft, slot, node)) vmGone(draft, vm, true, released(node));
      return;
    case 'failed':
      nodeFailed(draft, slot, node, body.reason);
      return;
  }
}

/** A pilot that is leaving cannot undo something, and tries again. */
function notUndone(draft: Draft, slot: Slot, node: string, { state, reason }: NodeBody, at: number): void {
  const known = slot.nodes.find(({ name }) => name === node);
  if (state !== 'releasing' || known?.state !== 'releasing' || reason === undefined) return;
  patchNode(draft, slot.id, node, { reason });
  if (isTellingOfNode(draft, slot.id, node)) recordNode(draft, slot, node, 'node.not-undone', reason, at);
}

/** The LRM wants the node back. */
function preempted(draft: Draft, slotId: string, node: string, words: Reason | undefined): void {
  const message = `the batch scheduler wants node ${node} back${words ? `: ${words.message}` : ''}`;
  const reason = walltimeOver(draft, draft.slot(slotId)) ?? { code: words?.code ?? 'preempted', message };
  preempt(draft, slotId, reason, node);
}

/** A pilot has begun to leave without our order: its job is at its end, or it had lost us for too long. */
function nodeLeft(draft: Draft, slotId: string, node: string): void {
  const slot = draft.slot(slotId);
  if (slot.state !== 'reserving' && slot.state !== 'ready') return;
  const reason = walltimeOver(draft, slot) ?? {
    code: 'node_left',
    message: `the pilot on node ${node} left before the lease had ended`,
  };
  const { shutdownGraceMs } = draft.settings;
  const dependent = dependentOn(draft, slot, node);
  // It gives guests a grace of its own; it is told of a lease that ends before that is over.
  const leftMs = Math.min(
    shutdownGraceMs,
    ...dependent.map(({ id }) => graceWithinLease(draft, id, shutdownGraceMs)),
  );
  if (leftMs < shutdownGraceMs) orderNodeRelease(draft, slotId, node, leftMs);
  for (const workspace of dependent)
    beginEnding(draft, workspace.id, causeOfTaking(workspace, reason), reason);
}

function nodeFailed(draft: Draft, slot: Slot, node: string, words: Reason | undefined): void {
  const what = `node ${node} failed${words ? `: ${words.message}` : ''}`;
  const reason = { code: words?.code ?? 'node_failed', message: what };
  const dependent = dependentOn(draft, slot, node);
  for (const vm of vmsOn(draft, slot, node))
    vmGone(draft, vm, !isLive(draft.workspace(vm.workspaceId)), reason);
  for (const { id } of dependent) beginEnding(draft, id, 'failed', reason);
  // A warm slot waits for nothing that could still come of it.
  if (slot.workspaceIds.length === 0) releaseSlot(draft, slot.id, 0, reason);
}

/** The workspaces that cannot go on without the node: those with a VM there, and those that wait for the whole slot. */
function dependentOn(draft: Draft, slot: Slot, node: string): readonly Workspace[] {
  const all = draft.workspacesIn(draft.slot(slot.id));
  // A slot that one workspace was asked for with is what that workspace has been promised.
  if (all.length <= 1) return all;
  return all.filter(({ id }) => draft.vmsOf(id).some(vm => vm.node === null || vm.node === node));
}

function released(node: string): Reason {
  return { code: 'node_released', message: `node ${node} was released` };
}

function vmsOn(draft: Draft, slot: Slot, node: string): readonly Vm[] {
  return draft.vmsIn(draft.slot(slot.id)).filter(vm => vm.node === node);
}

function recordNode(
  draft: Draft,
  slot: Slot,
  node: string,
  type: EventType,
  reason: Reason | null = null,
  at?: number,
): void {
  draft.recordSlot(type, slot, { node, reason, at });
}
