import { isInPool, poolSize } from '../../lease/addresses.ts';
import { slotDeadlineAt } from '../../lease/deadlines.ts';
import { drainedReason } from '../../lease/drained-nodes.ts';
import { largestGuestMiB } from '../../lease/memory.ts';
import { isFinalVm, isUpVm } from '../../lease/transitions.ts';
import { addressesInUse } from '../../lease/requeue.ts';
import type { SiteState, Slot, Vm, Workspace } from '../../lease/model.ts';
import type { LeaseSettings, Pool } from '../../lease/settings.ts';
import type {
  DryRunView,
  EventView,
  ImageView,
  NodeView,
  SlotView,
  VmView,
  TypesView,
  WorkspaceView,
} from '../../protocol/api.ts';
import type { Reason } from '../../protocol/states.ts';
import { formatMoment } from '../../protocol/units.ts';
import type { Engine, KnownWorkspace, PoolCapacity, StoredEvent, Trial } from '../core/engine-api.ts';
import type { SiteImage } from '../images/images.ts';

/** Entities as the API shows them: pure functions of the state. */

/** ISO 8601 of a time in milliseconds; null stays null. */
function iso(time: number): string;
function iso(time: number | null): string | null;
function iso(time: number | null): string | null {
  return time === null ? null : formatMoment(time);
}

/** What of an entity is shown as it is: these fields, and no other that it may get one day. */
function pick<Entity extends object, Field extends keyof Entity>(
  entity: Entity,
  ...fields: readonly Field[]
): Pick<Entity, Field> {
  const picked = {} as Pick<Entity, Field>;
  for (const field of fields) picked[field] = entity[field];
  return picked;
}

/** The workspace that a client's order was about, as it is now, wherever it is kept. */
export async function viewOf(engine: Pick<Engine, 'find'>, { id }: Workspace): Promise<WorkspaceView> {
  const found = await engine.find(id);
  if (!found) throw new Error(`${id} is not there`);
  return workspaceView(found.among, found.workspace);
}

/** A workspace with its VMs and the slot that holds them. */
export function workspaceView(among: KnownWorkspace['among'], workspace: Workspace): WorkspaceView {
  const slot = among.slots.get(workspace.slotId);
  const vms = workspace.vmIds.flatMap(vmId => among.vms.get(vmId) ?? []);
  return {
    ...pick(workspace, 'id', 'name', 'owner', 'project', 'cause', 'durationMs'),
    ...pick(workspace, 'keepPartial', 'requeue', 'requeues', 'heal'),
    state: shownState(workspace, slot),
    reason:
      suspendedReason(workspace, slot) ??
      drainReason(workspace, slot) ??
      workspace.reason ??
      waitingReason(workspace, slot),
    groups: workspace.groups.map(group =>
      pick(group, 'name', 'image', 'count', 'memoryMiB', 'cpus', 'networks', 'roles'),
    ),
    vms: vms.map(vm => vmView(vm, slot)),
    slot: slot ? { ...pick(slot, 'id', 'pool', 'lrmJobId', 'state'), ...lrmWords(slot) } : null,
    contextualized:
      workspace.startsAt !== null && vms.every(vm => vm.context === 'ok' || vm.context === 'none'),
    createdAt: iso(workspace.createdAt),
    startBy: iso(workspace.startBy),
    startsAt: iso(workspace.startsAt),
    endsAt: iso(workspace.endsAt),
    endedAt: iso(workspace.endedAt),
  };
}

/** What the LRM says of a slot's job. Its last estimate tells nothing once it cannot be asked. */
function lrmWords(slot: Slot) {
  const { lrmTrouble, suspendedSince, estimatedStartAt } = slot;
  return {
    ...pick(slot, 'lrmState', 'lrmReason', 'lrmOutlook'),
    suspendedSince: iso(suspendedSince),
    lrmTrouble: lrmTrouble === null ? null : { ...lrmTrouble, since: iso(lrmTrouble.since) },
    estimatedStartAt: lrmTrouble === null ? iso(estimatedStartAt) : null,
  };
}

/** What would become of a request. */
export function dryRunView({ refusal, slot, doubt }: Trial): DryRunView {
  return {
    accepted: refusal === undefined,
    refusal: refusal ?? null,
    doubt: doubt ?? null,
    slot: slot
      ? {
          ...pick(slot, 'memoryMiBPerNode', 'cpusPerNode', 'walltimeMs'),
          held: slot.state === 'ready' ? slot.id : null,
          nodes: slot.nodesWanted,
        }
      : null,
  };
}

/** What the LRM says while the workspace waits for it is why it waits. */
function waitingReason(workspace: Workspace, slot: Slot | undefined): Reason | null {
  const waits = workspace.state === 'requested' || workspace.state === 'queued';
  if (!waits || !slot) return null;
  const { lrmTrouble, lrmReason } = slot;
  if (lrmTrouble !== null) return { code: `lrm_${lrmTrouble.kind}`, message: lrmTrouble.message };
  return lrmReason === null ? null : { code: 'lrm_waiting', message: lrmReason };
}

/** That it may be the last one on a node of its slot is said while it is there. */
function drainReason({ state }: Workspace, slot: Slot | undefined): Reason | null {
  return slot && (state === 'deploying' || state === 'running') ? drainedReason(slot) : null;
}

/** What stands still with its job is suspended, whatever it was before. */
function shownState({ state }: Workspace, slot: Slot | undefined): WorkspaceView['state'] {
  const stands = state === 'deploying' || state === 'running';
  return stands && slot && slot.suspendedSince !== null ? 'suspended' : state;
}

function suspendedReason(workspace: Workspace, slot: Slot | undefined): Reason | null {
  if (!slot || shownState(workspace, slot) !== 'suspended') return null;
  const words = slot.lrmReason === null ? '' : `: ${slot.lrmReason}`;
  return { code: 'suspended', message: `suspended by the batch scheduler${words}` };
}

/** A guest that was up stands still with its job, or is unheard of with its node. */
function shownVmState({ state }: Vm, slot: Slot | undefined, unheardSince: number | null): VmView['state'] {
  if (!isUpVm(state)) return state;
  if (slot && slot.suspendedSince !== null) return 'suspended';
  return unheardSince === null ? state : 'unreachable';
}

/** Written out: there are thousands of them in one answer, and copies of copies take their time. */
function vmView(vm: Vm, slot: Slot | undefined): VmView {
  const unheardSince = isFinalVm(vm.state)
    ? null
    : (slot?.nodes.find(({ name }) => name === vm.node)?.silentSince ?? null);
  return {
    id: vm.id,
    name: vm.name,
    group: vm.group,
    state: shownVmState(vm, slot, unheardSince),
    context: vm.context,
    reason: vm.reason,
    node: vm.node,
    unheardSince: iso(unheardSince),
    image: vm.image,
    memoryMiB: vm.memoryMiB,
    cpus: vm.cpus,
    mac: vm.nics[0]?.mac ?? null,
    addresses: vm.nics.map(({ network, address, mac }) => ({ network, address, mac })),
  };
}

/** A slot as its LRM job and its nodes stand; `workspaces`: those in it that the caller may read. */
export function slotView(
  slot: Slot,
  workspaces: readonly Pick<Workspace, 'id'>[],
  lrm: string,
  settings: LeaseSettings,
): SlotView {
  const deadlineAt = slotDeadlineAt(slot, settings);
  return {
    ...pick(slot, 'id', 'owner', 'warm', 'state', 'reason', 'pool', 'lrmJobId', 'nodesWanted'),
    ...pick(slot, 'memoryMiBPerNode', 'cpusPerNode', 'walltimeMs'),
    ...lrmWords(slot),
    lrm,
    workspaces: workspaces.map(({ id }) => id),
    nodes: slot.nodes.map(node => pick(node, 'name', 'state', 'reason', 'connected', 'address')),
    createdAt: iso(slot.createdAt),
    jobEndsAt: iso(slot.jobEndsAt),
    deadlineAt: iso(Number.isFinite(deadlineAt) ? deadlineAt : null),
  };
}

/** The nodes of a slot, each with the ids of the VMs placed on it that have not ended, of these workspaces in it. */
export function nodeViews(
  state: SiteState,
  slot: Slot,
  workspaces: readonly Pick<Workspace, 'vmIds'>[],
): NodeView[] {
  const live = workspaces
    .flatMap(({ vmIds }) => vmIds)
    .flatMap(vmId => state.vms.get(vmId) ?? [])
    .filter(vm => !isFinalVm(vm.state));
  return slot.nodes.map(node => ({
    ...pick(node, 'name', 'state', 'connected', 'address'),
    pool: slot.pool,
    slot: slot.id,
    vms: live.filter(vm => vm.node === node.name).map(vm => vm.id),
  }));
}

/** The nodes that LRMs hold for us alone (static ones) and that are in no slot. */
export function ownNodeViews(state: SiteState, capacity: readonly PoolCapacity[]): NodeView[] {
  const live = [...state.slots.values()].filter(({ endedAt }) => endedAt === null);
  return capacity.flatMap(({ name: pool, now }) => {
    const held = new Set(
      live.filter(slot => slot.pool === pool).flatMap(({ nodes }) => nodes.map(({ name }) => name)),
    );
    const view = (name: string, state: 'idle' | 'away'): NodeView => ({
      name,
      pool,
      slot: null,
      state,
      connected: state === 'idle',
      address: null,
      vms: [],
    });
    const idle = now?.free?.map(({ name }) => view(name, 'idle')) ?? [];
    const away = now?.away?.map(name => view(name, 'away')) ?? [];
    return [...idle, ...away].filter(({ name }) => !held.has(name));
  });
}

/** One line of the history. */
export function eventView(event: StoredEvent): EventView {
  return {
    seq: event.seq,
    at: iso(event.at),
    recordedAt: iso(event.recordedAt),
    type: event.type,
    workspace: event.workspaceId,
    slot: event.slotId,
    vm: event.vmId,
    node: event.node,
    reason: event.reason,
  };
}

/** An image of the site's catalogue. */
export function imageView({ manifest, sizeBytes }: SiteImage): ImageView {
  return { ...pick(manifest, 'name', 'description'), boot: manifest.boot.kind, sizeBytes };
}

/** What can be leased: of the site file, of the images, and of what the LRMs say now. */
export function typesView(
  state: SiteState,
  images: readonly SiteImage[],
  capacity: readonly PoolCapacity[],
): TypesView {
  const { settings } = state;
  const held = addressesInUse(state);
  return {
    ...pick(settings, 'defaultNetwork', 'defaultDurationMs', 'maxDurationMs'),
    images: images.map(({ manifest }) => pick(manifest, 'name', 'agent')),
    networks: settings.networks.map(pool => ({
      name: pool.name,
      addresses: poolSize(pool),
      freeAddresses: poolSize(pool) - [...held].filter(address => isInPool(address, pool)).length,
    })),
    pools: settings.pools.map(pool => poolView(pool, settings, capacity)),
    endNoticesMs: [...settings.endNoticesMs],
  };
}

function poolView(
  { name, policy, memory, reaches }: Pool,
  { networks }: LeaseSettings,
  capacity: readonly PoolCapacity[],
): TypesView['pools'][number] {
  const { lrm = 'none', now, trouble } = capacity.find(each => each.name === name) ?? {};
  return {
    name,
    lrm,
    policy: policy.kind,
    networks: [...(reaches ?? networks.map(network => network.name))],
    nodes: now
      ? {
          count: now.nodes,
          idle: now.idleNodes ?? null,
          vmMemoryMiB: largestGuestMiB({ memoryMiB: now.memoryMiBPerNode, cpus: now.cpusPerNode }, memory),
          vmCpus: now.cpusPerNode,
          sizes: (now.sizes ?? []).map(size => ({
            ...pick(size, 'memoryMiB', 'cpus'),
            count: size.nodes,
            idle: size.idleNodes ?? null,
          })),
        }
      : null,
    trouble: trouble ? { ...trouble, since: iso(trouble.since) } : null,
  };
}
