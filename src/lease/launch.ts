import type { ContextState } from '../protocol/states.ts';
import { type SlotId, vmIdOf, vmName } from '../protocol/ids.ts';
import { AddressAllocator, poolSize } from './addresses.ts';
import type { Draft } from './draft.ts';
import { deploy } from './deploy.ts';
import { type HeldSlot, heldSlotFor } from './policies/held.ts';
import { policyKind } from './policies/index.ts';
import { walltimeFor } from './policies/slot-request.ts';
import { bestPool, type PoolRequest, possiblePools } from './pools.ts';
import { inPool } from './settings.ts';
import { overQuota } from './quota.ts';
import { addressesInUse } from './requeue.ts';
import { conflict, type Group, malformed, noSuchWorkspace, unknownParts, withDefaults } from './request.ts';
import { drawVnis } from './vnis.ts';
import type { Refusal } from './decision.ts';
import type { LeaseInput, Lots } from './inputs.ts';
import type { AssignedNic, Slot, Vm, Workspace } from './model.ts';
import type { LeaseSettings, NetworkPool } from './settings.ts';

/**
 * An ensemble grows while it is pending, and is placed as a whole when it is launched, exactly once (paper §2: workspaces of an ensemble are deployed
 * together).
 *
 *   create --pending ─► add, add, … ─► launch ─► its VMs have addresses, its slot is asked for
 *   create ───────────────────────────►┘
 */

/** More groups for a workspace that has not been launched. */
export function add(draft: Draft, input: Extract<LeaseInput, { type: 'add' }>): Refusal | undefined {
  const workspace = draft.findWorkspace(input.workspaceId);
  if (!workspace) return noSuchWorkspace(input.workspaceId);
  if (workspace.state !== 'pending')
    return conflict(
      `workspace ${workspace.name} is ${workspace.state}; groups can be added only before it is launched`,
      'create a workspace of its own for what is missing',
    );
  const groups = [...workspace.groups, ...input.groups.map(group => withDefaults(group, draft.settings))];
  const grown = { ...workspace, groups };
  const refusal = malformed(groups, true) ?? unknownParts(groups, draft.settings) ?? overQuota(draft, grown);
  if (refusal) return refusal;
  draft.putWorkspace(grown);
  draft.record('workspace.grown', { workspaceId: workspace.id });
  return undefined;
}

/** Launches a pending workspace. One that has been launched is what the client wants. */
export function launch(draft: Draft, input: Extract<LeaseInput, { type: 'launch' }>): Refusal | undefined {
  const workspace = draft.findWorkspace(input.workspaceId);
  if (!workspace) return noSuchWorkspace(input.workspaceId);
  if (workspace.state === 'ended' || workspace.state === 'ending')
    return conflict(`workspace ${workspace.name} is ${workspace.state}`);
  return workspace.state === 'pending' ? launchNew(draft, workspace, input.lots) : undefined;
}

/**
 * Gives every VM its addresses and the networks their VNIs, and asks for the slot; or says why not,
 * and leaves no trace.
 */
export function launchNew(draft: Draft, workspace: Workspace, lots: Lots): Refusal | undefined {
  const { settings } = draft;
  const { groups } = workspace;
  const incomplete = malformed(groups) ?? unknownParts(groups, settings);
  if (incomplete) return incomplete;
  const possible = possiblePools(draft, workspace);
  if ('code' in possible) return possible;

  const allocator = new AddressAllocator(addressesInUse(draft.state));
  const vms: Vm[] = [];
  for (const group of groups) {
    for (let index = 0; index < group.count; index++) {
      const nics = assignNics(group, settings, allocator);
      if ('code' in nics) return nics;
      vms.push(newVm(workspace, group, index, nics, settings));
    }
  }
  const drawn = drawVnis(draft.state, workspace, lots);
  if ('code' in drawn) return drawn;
  for (const vm of vms) draft.putVm(vm);
  draft.putWorkspace({ ...workspace, ...drawn, vmIds: vms.map(({ id }) => id) });
  for (const { pool } of possible) {
    const held = heldSlotFor(draft, pool, workspace, vms);
    if (held) return moveIn(draft, workspace, vms, held);
  }
  draft.moveWorkspace(workspace.id, 'requested');
  const { id, owner, slotId } = workspace;
  askForSlot(draft, slotId, bestPool(draft, possible), { workspaceIds: [id], owner, warm: false });
  return undefined;
}

/** The workspace is deployed in a slot that is there: nothing is asked of the LRM. */
function moveIn(draft: Draft, { id, owner }: Workspace, vms: readonly Vm[], held: HeldSlot): undefined {
  const { slot, placement } = held;
  draft.putWorkspace({ ...draft.workspace(id), slotId: slot.id });
  for (const vm of vms) draft.putVm({ ...vm, slotId: slot.id });
  const workspaceIds = [...draft.workspacesIn(slot).map(other => other.id), id];
  draft.putSlot({ ...slot, workspaceIds, owner: slot.owner ?? owner, deadlineAt: null });
  draft.moveWorkspace(id, 'requested');
  deploy(draft, id, placement);
}

function assignNics(
  group: Group,
  settings: LeaseSettings,
  allocator: AddressAllocator,
): readonly AssignedNic[] | Refusal {
  const nics: AssignedNic[] = [];
  for (const name of group.networks) {
    const pool = settings.networks.find(network => network.name === name);
    const nic = pool && allocator.assign(pool);
    if (!nic) return exhausted(name, pool);
    nics.push(nic);
  }
  return nics;
}

function exhausted(name: string, pool: NetworkPool | undefined): Refusal {
  return {
    code: 'addresses_exhausted',
    message: `network ${name} has too few free addresses (${pool ? poolSize(pool) : 0} in all)`,
    hint: 'try again when other workspaces have ended, or use another network',
  };
}

function newVm(
  workspace: Workspace,
  group: Group,
  index: number,
  nics: readonly AssignedNic[],
  settings: LeaseSettings,
): Vm {
  return {
    id: vmIdOf(workspace.id, group.name, index),
    workspaceId: workspace.id,
    slotId: workspace.slotId,
    group: group.name,
    index,
    name: vmName(group.name, index),
    state: 'pending',
    context: firstContext(group.image, settings),
    reason: null,
    node: null,
    image: group.image,
    memoryMiB: group.memoryMiB,
    cpus: group.cpus,
    nics,
    orders: 0,
    replaces: 0,
    told: 0,
  };
}

/** What is known of a guest's set-up before it starts: nothing ever, if its image has no agent. */
export function firstContext(image: string, { images }: LeaseSettings): ContextState {
  return images.find(({ name }) => name === image)?.agent ? 'pending' : 'none';
}

/** Owes the LRM's job for a new slot. */
export function askForSlot(
  draft: Draft,
  slotId: SlotId,
  { pool, slot }: PoolRequest,
  whose: Pick<Slot, 'workspaceIds' | 'owner' | 'warm'>,
): void {
  draft.putSlot({
    id: slotId,
    pool,
    ...whose,
    state: 'requested',
    reason: null,
    lrmJobId: null,
    lrmState: null,
    lrmReason: null,
    lrmOutlook: null,
    lrmTrouble: null,
    suspendedSince: null,
    cancelOrdered: false,
    jobNodes: [],
    estimatedStartAt: null,
    jobEndsAt: null,
    ...slot,
    nodes: [],
    createdAt: draft.now,
    submittedAt: null,
    deadlineAt: null,
    endedAt: null,
  });
  draft.recordSlot('slot.requested', draft.slot(slotId));
  draft.emit({ kind: 'lrm.submit', key: `submit:${slotId}`, slotId });
}

/** Another idle slot for a pool whose policy wants some. */
export function askForWarmSlot(draft: Draft, slotId: SlotId, pool: string): void {
  const settings = inPool(draft.settings, pool);
  const { policy } = settings;
  const wanted = policyKind(policy).warm?.(policy);
  if (!wanted) return;
  const { nodes: nodesWanted, memoryMiBPerNode, cpusPerNode, durationMs } = wanted;
  const walltimeMs = walltimeFor(durationMs, settings);
  const slot = { nodesWanted, memoryMiBPerNode, cpusPerNode, walltimeMs };
  askForSlot(draft, slotId, { pool, slot }, { workspaceIds: [], owner: null, warm: true });
}
