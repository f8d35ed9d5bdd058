import type { Draft } from './draft.ts';
import { slotFor } from './policies/index.ts';
import type { SlotRequest } from './policies/slot-request.ts';
import { exceedsSite, type Group } from './request.ts';
import { isFinalSlot } from './transitions.ts';
import type { Refusal } from './decision.ts';
import type { Slot, Workspace } from './model.ts';
import { inPool, type LeaseSettings, type NodeSize, type Pool } from './settings.ts';

/**
 * Which pool a workspace's slot is asked from. In the order of preference (the request's, else the site's): the first that has room at this moment;
 * when none has, the first that could ever carry it, where it waits. Whether a batch queue has room nobody knows: it is taken to have.
 */

/** What is asked of which pool. */
export interface PoolRequest {
  readonly pool: string;
  readonly slot: SlotRequest;
}

/** One at least, the best first. */
type PossiblePools = readonly [PoolRequest, ...PoolRequest[]];

/** The pools that a workspace may be in, the best first. */
export function poolsOf(
  { pools: wanted }: Pick<Workspace, 'pools'>,
  { pools }: LeaseSettings,
): readonly Pool[] {
  return wanted.length === 0 ? pools : wanted.flatMap(name => pools.find(pool => pool.name === name) ?? []);
}

/** A pool that the site does not have. */
export function unknownPool(
  { pools: wanted }: Pick<Workspace, 'pools'>,
  { pools }: LeaseSettings,
): Refusal | undefined {
  const names = pools.map(({ name }) => name);
  const unknown = wanted.find(name => !names.includes(name));
  if (unknown === undefined) return undefined;
  return {
    code: 'pool_unknown',
    message: `this site has no pool ${unknown}`,
    hint: `it has: ${names.join(', ')}`,
  };
}

/** The pools that could carry it at all, the best first, with what each would be asked for; or why none could. */
export function possiblePools(draft: Draft, workspace: Workspace): PossiblePools | Refusal {
  const { groups, durationMs } = workspace;
  const possible: PoolRequest[] = [];
  const refusals: { readonly pool: string; readonly refusal: Refusal }[] = [];
  for (const pool of poolsOf(workspace, draft.settings)) {
    const settings = inPool(draft.settings, pool.name);
    const slot = slotFor(groups, durationMs, settings);
    const refusal = outOfReach(pool, groups) ?? exceedsSite(slot, durationMs, settings);
    if (refusal) refusals.push({ pool: pool.name, refusal });
    else possible.push({ pool: pool.name, slot });
  }
  const [first, ...others] = possible;
  return first ? [first, ...others] : together(refusals);
}

/** Of these, the first with room now, else the first. */
export function bestPool(draft: Draft, [first, ...others]: PossiblePools): PoolRequest {
  return [first, ...others].find(request => hasRoom(draft, request)) ?? first;
}

function outOfReach({ name: pool, reaches }: Pool, groups: readonly Group[]): Refusal | undefined {
  if (reaches === null) return undefined;
  for (const { name, networks } of groups) {
    const missing = networks.find(network => !reaches.includes(network));
    if (missing !== undefined)
      return {
        code: 'exceeds_site',
        message: `group ${name}: the nodes of pool ${pool} do not reach network ${missing}`,
        hint: `they reach: ${reaches.join(', ') || 'no network'}`,
      };
  }
  return undefined;
}

function together(refusals: readonly { readonly pool: string; readonly refusal: Refusal }[]): Refusal {
  const [first, ...others] = refusals;
  if (!first) return { code: 'exceeds_site', message: 'this site has no pool at all' };
  if (others.length === 0) return first.refusal;
  const each = refusals.map(({ pool, refusal }) => `${pool}: ${refusal.message}`).join('; ');
  return { code: first.refusal.code, message: `no pool can host this workspace: ${each}` };
}

/** What has been asked of the pool and has not been started may still take what is free. */
function hasRoom({ settings, state }: Draft, { pool, slot }: PoolRequest): boolean {
  const free = settings.pools.find(({ name }) => name === pool)?.site?.free;
  if (free === undefined || free === null) return true;
  const asked = [...state.slots.values()].filter(other => other.pool === pool && isWaiting(other));
  const room = [...asked, slot].reduce<readonly NodeSize[] | undefined>(without, free);
  return room !== undefined;
}

const isWaiting = ({ state, lrmState }: Slot): boolean =>
  !isFinalSlot(state) && (state === 'requested' || (state === 'queued' && lrmState !== 'running'));

/** What is left of the nodes when a gang has taken its share; undefined when it does not fit. */
function without(
  free: readonly NodeSize[] | undefined,
  { nodesWanted, memoryMiBPerNode, cpusPerNode }: SlotRequest,
): readonly NodeSize[] | undefined {
  if (free === undefined) return undefined;
  const left = [...free];
  let missing = nodesWanted;
  for (const [index, { memoryMiB, cpus }] of free.entries()) {
    if (missing === 0) break;
    if (memoryMiB < memoryMiBPerNode || cpus < cpusPerNode) continue;
    left[index] = { memoryMiB: memoryMiB - memoryMiBPerNode, cpus: cpus - cpusPerNode };
    missing -= 1;
  }
  return missing === 0 ? left : undefined;
}
