import type { GroupRequest } from '../protocol/cluster.ts';
import { namePattern, vmName, type WorkspaceId } from '../protocol/ids.ts';
import { formatDuration } from '../protocol/units.ts';
import { vmsPerNode } from './policies/index.ts';
import type { SlotRequest } from './policies/slot-request.ts';
import type { Refusal } from './decision.ts';
import type { Workspace } from './model.ts';
import type { LeaseSettings, PoolSettings, PoolSize } from './settings.ts';

/** What is asked of a workspace's groups, whether they come with its creation or later. */

export type Group = Workspace['groups'][number];

/** A host's list of its ensemble has room for this many (`ContextPlan.hosts`). */
const mostVms = 4_096;

/** The refusal of what is asked of a workspace that is not there. */
export function noSuchWorkspace(id: WorkspaceId): Refusal {
  return { code: 'not_found', message: `there is no workspace ${id}` };
}

/** The refusal of what cannot be done as things are now. */
export function conflict(message: string, hint?: string): Refusal {
  return { code: 'conflict', message, ...(hint === undefined ? {} : { hint }) };
}

const invalid = (message: string): Refusal => ({ code: 'invalid_request', message });

/** A group as it is stored: nothing left open. */
export function withDefaults(group: GroupRequest, settings: LeaseSettings): Group {
  const { name, image, count, memoryMiB, cpus, networks, roles } = group;
  const fallback = settings.defaultNetwork === null ? [] : [settings.defaultNetwork];
  return { name, image, count, memoryMiB, cpus, networks: networks ?? fallback, roles: roles ?? [] };
}

/** What is wrong with the groups themselves; `orNone`: there may be none (yet). */
export function malformed(groups: readonly Group[], orNone = false): Refusal | undefined {
  const seen = new Set<string>();
  for (const { name, count, networks } of groups) {
    if (seen.has(name)) return invalid(`two groups are named ${name}; each needs a name of its own`);
    seen.add(name);
    const longest = vmName(name, count - 1);
    if (!new RegExp(namePattern).test(longest))
      return invalid(
        `the group's name ${name} is too long: its VM ${longest} would have more than 31 characters`,
      );
    const namesake = groups.find(other => isVmOf(other, name));
    if (namesake)
      return invalid(
        `group ${name} has the name of a VM of group ${namesake.name}: what is done to ${name} could mean either; choose another name`,
      );
    if (new Set(networks).size < networks.length) return invalid(`group ${name} names a network twice`);
  }
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  if ((total > 0 || orNone) && total <= mostVms) return undefined;
  return invalid(`a workspace has 1 to ${mostVms} VMs; this one asks for ${total}`);
}

/** Whether a VM of this group has that name. */
function isVmOf({ name: group, count }: Group, name: string): boolean {
  const index = name.startsWith(`${group}-`) ? name.slice(group.length + 1) : '';
  return /^(0|[1-9]\d*)$/.test(index) && Number(index) < count;
}

/** Images and networks that this site does not have, and images that need more than they are given. */
export function unknownParts(groups: readonly Group[], settings: LeaseSettings): Refusal | undefined {
  const images = new Map(settings.images.map(image => [image.name, image]));
  const networks = new Set(settings.networks.map(({ name }) => name));
  for (const group of groups) {
    const image = images.get(group.image);
    if (!image)
      return {
        code: 'image_unknown',
        message: `group ${group.name}: this site has no image ${group.image}`,
        hint: choices('images', [...images.keys()]),
      };
    if (group.memoryMiB < image.minMemoryMiB)
      return invalid(
        `group ${group.name}: image ${image.name} needs at least ${image.minMemoryMiB} MiB of memory; ${group.memoryMiB} MiB asked for`,
      );
    const unknown = group.networks.find(name => !networks.has(name));
    if (unknown !== undefined)
      return {
        code: 'network_unknown',
        message: `group ${group.name}: this site has no network ${unknown}`,
        hint: choices('networks', [...networks]),
      };
  }
  return undefined;
}

/** More than this site has or allows: it would wait for ever. */
export function exceedsSite(
  slot: SlotRequest,
  durationMs: number,
  settings: PoolSettings,
): Refusal | undefined {
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
      vmsPerNode(settings.policy) > 1
        ? `${plural(slot.nodesWanted, 'node')} needed; this site has ${plural(site.nodes, 'node')}`
        : `${plural(slot.nodesWanted, 'VM')} asked for, one per node; this site has ${plural(site.nodes, 'node')}`,
    );
  if (slot.memoryMiBPerNode > site.memoryMiBPerNode)
    return over(
      `${slot.memoryMiBPerNode} MiB needed on a node, with what the VMM takes beside its guests and ${settings.memory.pilotMiB} MiB for the pilot; ` +
        `a node of this site has ${site.memoryMiBPerNode} MiB`,
    );
  if (slot.cpusPerNode > site.cpusPerNode)
    return over(
      `${plural(slot.cpusPerNode, 'processor')} asked for in one VM; a node of this site has ${site.cpusPerNode}`,
    );
  const tooFew = fewerThanWanted(slot, site);
  if (tooFew !== undefined) return over(tooFew);
  if (site.maxWalltimeMs !== null && durationMs > site.maxWalltimeMs)
    return over(
      `the batch queue's longest job is ${formatDuration(site.maxWalltimeMs)}; a lease of ${formatDuration(durationMs)} does not fit in it`,
    );
  return undefined;
}

/**
 * Why nodes of several sizes are too few; undefined: enough of them are as large as a gang wants.
 */
function fewerThanWanted(
  { nodesWanted, memoryMiBPerNode, cpusPerNode }: SlotRequest,
  { sizes, nodes }: PoolSize,
): string | undefined {
  const fitting = sizes?.filter(
    ({ memoryMiB, cpus }) => memoryMiB >= memoryMiBPerNode && cpus >= cpusPerNode,
  );
  const count = fitting?.reduce((total, size) => total + size.nodes, 0) ?? nodes;
  if (count >= nodesWanted) return undefined;
  const each = sizes?.map(size => `${size.nodes} × ${size.memoryMiB} MiB, ${plural(size.cpus, 'processor')}`);
  return `${plural(nodesWanted, 'node')} with ${memoryMiBPerNode} MiB and ${plural(cpusPerNode, 'processor')} each needed; ${count} of this site's nodes are that large (${each?.join('; ')})`;
}

function choices(what: string, names: readonly string[]): string {
  return names.length === 0 ? `it has no ${what} at all` : `it has: ${names.join(', ')}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
