import { type WorkspaceRequest } from '../protocol/cluster.ts';
import { namePattern, vmIdOf, vmName } from '../protocol/ids.ts';
import { formatDuration } from '../protocol/units.ts';
import { AddressAllocator, heldAddresses, poolSize } from './addresses.ts';
import type { Draft } from './draft.ts';
import { exactSlot, type SlotRequest } from './policies/exact.ts';
import type { AssignedNic, LeaseInput, LeaseSettings, NetworkPool, Refusal, Vm, Workspace } from './types.ts';

type Create = Extract<LeaseInput, { readonly type: 'create' }>;
type Group = Workspace['groups'][number];

/** A host's list of its ensemble has room for this many (`ContextPlan.hosts`). */
const mostVms = 4_096;

/** The owner's workspace that this client token has made before. */
export function workspaceOfToken(
  workspaces: Iterable<Workspace>,
  owner: string,
  clientToken: string | undefined,
): Workspace | undefined {
  if (clientToken === undefined) return undefined;
  for (const workspace of workspaces)
    if (workspace.clientToken === clientToken && workspace.owner === owner) return workspace;
  return undefined;
}

/**
 * Accepts a workspace whole, with its addresses, and asks for its slot; or says why not, and leaves no trace. A request that comes again with the
 * same client token changes nothing.
 */
export function create(draft: Draft, input: Create): Refusal | undefined {
  const before = workspaceOfToken(draft.state.workspaces.values(), input.owner, input.request.clientToken);
  return before ? sameRequest(before, input) : createNew(draft, input);
}

function sameRequest(before: Workspace, { requestDigest, request }: Create): Refusal | undefined {
  if (before.requestDigest === requestDigest) return undefined;
  return {
    code: 'conflict',
    message: `the client token ${request.clientToken} has made workspace ${before.id} with another request`,
    hint: 'use a new token for a new request',
  };
}

function createNew(draft: Draft, input: Create): Refusal | undefined {
  const { settings } = draft;
  const { request } = input;
  const groups = request.groups.map(group => withDefaults(group, settings));
  const durationMs = request.durationMs ?? settings.defaultDurationMs;
  const slot = exactSlot(groups, durationMs, settings);
  const refusal =
    startByOver(draft, request) ??
    nameTaken(draft, input) ??
    malformed(groups) ??
    unknownParts(groups, settings) ??
    exceedsSite(slot, durationMs, settings);
  if (refusal) return refusal;

  const allocator = new AddressAllocator(heldAddresses(draft.state.vms.values()));
  const vms: Vm[] = [];
  for (const group of groups) {
    for (let index = 0; index < group.count; index++) {
      const nics = assignNics(group, settings, allocator);
      if ('code' in nics) return nics;
      vms.push(newVm(input, group, index, nics, settings));
    }
  }
  for (const vm of vms) draft.putVm(vm);
  putWorkspaceAndSlot(draft, input, groups, vms, durationMs, slot);
  return undefined;
}

function withDefaults(group: WorkspaceRequest['groups'][number], settings: LeaseSettings): Group {
  const { name, image, count, memoryMiB, cpus, networks, roles } = group;
  const fallback = settings.defaultNetwork === null ? [] : [settings.defaultNetwork];
  return { name, image, count, memoryMiB, cpus, networks: networks ?? fallback, roles: roles ?? [] };
}

function startByOver(draft: Draft, { startBy }: WorkspaceRequest): Refusal | undefined {
  if (startBy === undefined || Date.parse(startBy) > draft.now) return undefined;
  const message = Number.isNaN(Date.parse(startBy))
    ? `startBy: there is no such time as ${startBy}`
    : `startBy: ${startBy} is over already`;
  return { code: 'invalid_request', message };
}

function nameTaken(draft: Draft, { workspaceId, owner, request }: Create): Refusal | undefined {
  const name = request.name ?? workspaceId;
  for (const other of draft.state.workspaces.values())
    if (other.owner === owner && other.name === name && other.state !== 'ended')
      return {
        code: 'conflict',
        message: `the name ${name} is in use by your workspace ${other.id}, which is ${other.state}`,
        hint: 'choose another name, or destroy that workspace first',
      };
  return undefined;
}

function malformed(groups: readonly Group[]): Refusal | undefined {
  const seen = new Set<string>();
  for (const { name, count, networks } of groups) {
    if (seen.has(name))
      return {
        code: 'invalid_request',
        message: `two groups are named ${name}; each needs a name of its own`,
      };
    seen.add(name);
    const longest = vmName(name, count - 1);
    if (!new RegExp(namePattern).test(longest))
      return {
        code: 'invalid_request',
        message: `the group's name ${name} is too long: its VM ${longest} would have more than 31 characters`,
      };
    if (new Set(networks).size < networks.length)
      return { code: 'invalid_request', message: `group ${name} names a network twice` };
  }
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  if (total > 0 && total <= mostVms) return undefined;
  return {
    code: 'invalid_request',
    message: `a workspace has 1 to ${mostVms} VMs; this one asks for ${total}`,
  };
}

function unknownParts(groups: readonly Group[], settings: LeaseSettings): Refusal | undefined {
  const images = new Set(settings.images.map(({ name }) => name));
  const networks = new Set(settings.networks.map(({ name }) => name));
  for (const group of groups) {
    if (!images.has(group.image))
      return {
        code: 'image_unknown',
        message: `group ${group.name}: this site has no image ${group.image}`,
        hint: choices('images', images),
      };
    const unknown = group.networks.find(name => !networks.has(name));
    if (unknown !== undefined)
      return {
        code: 'network_unknown',
        message: `group ${group.name}: this site has no network ${unknown}`,
        hint: choices('networks', networks),
      };
  }
  return undefined;
}

function exceedsSite(slot: SlotRequest, durationMs: number, settings: LeaseSettings): Refusal | undefined {
  const { site, maxDurationMs } = settings;
  const over = (message: string): Refusal => ({ code: 'exceeds_site', message });
  if (durationMs > maxDurationMs)
    return over(
      `a lease here lasts at most ${formatDuration(maxDurationMs)}; ${formatDuration(durationMs)} asked for`,
    );
  // The LRM has not answered yet: it will refuse what it cannot do, in its own words.
  if (site === null) return undefined;
  if (slot.nodesWanted > site.nodes)
    return over(
      `${plural(slot.nodesWanted, 'VM')} asked for, one per node; this site has ${plural(site.nodes, 'node')}`,
    );
  if (slot.memoryMiBPerNode > site.memoryMiBPerNode)
    return over(
      `${slot.memoryMiBPerNode} MiB needed on a node (${settings.vmmOverheadMiB} MiB of it for the VMM); ` +
        `a node of this site has ${site.memoryMiBPerNode} MiB`,
    );
  if (slot.cpusPerNode > site.cpusPerNode)
    return over(
      `${plural(slot.cpusPerNode, 'processor')} asked for in one VM; a node of this site has ${site.cpusPerNode}`,
    );
  if (site.maxWalltimeMs !== null && durationMs > site.maxWalltimeMs)
    return over(
      `the batch queue's longest job is ${formatDuration(site.maxWalltimeMs)}; a lease of ${formatDuration(durationMs)} does not fit in it`,
    );
  return undefined;
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
  input: Create,
  group: Group,
  index: number,
  nics: readonly AssignedNic[],
  settings: LeaseSettings,
): Vm {
  const agent = settings.images.find(({ name }) => name === group.image)?.agent ?? false;
  return {
    id: vmIdOf(input.workspaceId, group.name, index),
    workspaceId: input.workspaceId,
    slotId: input.slotId,
    group: group.name,
    index,
    name: vmName(group.name, index),
    state: 'pending',
    context: agent ? 'pending' : 'none',
    reason: null,
    node: null,
    image: group.image,
    memoryMiB: group.memoryMiB,
    cpus: group.cpus,
    nics,
  };
}

function putWorkspaceAndSlot(
  draft: Draft,
  { workspaceId, slotId, owner, request, requestDigest }: Create,
  groups: readonly Group[],
  vms: readonly Vm[],
  durationMs: number,
  slot: SlotRequest,
): void {
  draft.putWorkspace({
    id: workspaceId,
    name: request.name ?? workspaceId,
    owner,
    state: 'requested',
    cause: null,
    reason: null,
    groups,
    slotId,
    vmIds: vms.map(({ id }) => id),
    durationMs,
    createdAt: draft.now,
    startsAt: null,
    endsAt: null,
    endingDeadlineAt: null,
    endedAt: null,
    deployDeadlineAt: null,
    startBy: request.startBy === undefined ? null : Date.parse(request.startBy),
    keepPartial: request.keepPartial ?? false,
    clientToken: request.clientToken ?? null,
    requestDigest: request.clientToken === undefined ? null : requestDigest,
    noticesGivenMs: [],
  });
  draft.putSlot({
    id: slotId,
    workspaceId,
    state: 'requested',
    reason: null,
    lrmJobId: null,
    lrmState: null,
    lrmReason: null,
    estimatedStartAt: null,
    jobEndsAt: null,
    ...slot,
    nodes: [],
    createdAt: draft.now,
    submittedAt: null,
    deadlineAt: null,
    endedAt: null,
  });
  draft.record('workspace.requested', { workspaceId, slotId });
  draft.record('slot.requested', { workspaceId, slotId });
  draft.owe({ kind: 'lrm.submit', key: `submit:${slotId}`, slotId });
}

function choices(what: string, names: ReadonlySet<string>): string {
  return names.size === 0 ? `it has no ${what} at all` : `it has: ${[...names].join(', ')}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
