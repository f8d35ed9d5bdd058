import { ipv4ToNumber } from '../protocol/ipv4.ts';
import type { Draft } from './draft.ts';
import type { Refusal } from './decision.ts';
import type { Lots } from './inputs.ts';
import type { SiteState, Vm, Workspace } from './model.ts';
import type { LeaseSettings } from './settings.ts';

/**
 * The numbers (VNIs) by which VXLANs are told apart on the site's network. One is drawn for each
 * workspace and network, so that nobody who does not see its datagrams knows it; a workspace keeps
 * its numbers until it has ended.
 */
type Vnis = Workspace['vnis'];

/** Draws the numbers of a workspace that is launched. */
export function drawVnis(
  { settings, workspaces }: Pick<SiteState, 'settings' | 'workspaces'>,
  { groups }: Pick<Workspace, 'groups'>,
  lots: Lots,
): { readonly vnis: Vnis } | Refusal {
  const held = heldVnis(workspaces.values());
  const vnis: Record<string, number> = {};
  for (const [index, { name, vnis: range }] of settings.networks.entries()) {
    if (range === null || !groups.some(({ networks }) => networks.includes(name))) continue;
    const lot = lots[index];
    if (lot === undefined) throw new Error(`there is no lot for network ${name}`);
    const vni = firstFree(range, lot, held);
    if (vni === undefined) return exhausted(name, range);
    vnis[name] = vni;
  }
  return { vnis };
}

/**
 * The numbers that a workspace of an earlier version has, which counted them up with the addresses:
 * its VXLANs are there, and are called by them.
 */
function countedVnis(vms: readonly Vm[], { networks }: LeaseSettings): Vnis {
  const vnis: Record<string, number> = {};
  for (const { name, firstAddress, vnis: range } of networks) {
    const addresses = vms.flatMap(({ nics }) =>
      nics.filter(({ network }) => network === name).map(({ address }) => ipv4ToNumber(address)),
    );
    if (range && addresses.length > 0)
      vnis[name] = range.first + Math.min(...addresses) - ipv4ToNumber(firstAddress);
  }
  return vnis;
}

/** Gives workspaces of an earlier version the numbers that they have. */
export function keepCountedVnis(draft: Draft): void {
  for (const { id, state, vnis } of draft.state.workspaces.values()) {
    if (state === 'ended' || Object.keys(vnis).length > 0) continue;
    const counted = countedVnis(draft.vmsOf(id), draft.settings);
    if (Object.keys(counted).length > 0) draft.putWorkspace({ ...draft.workspace(id), vnis: counted });
  }
}

function heldVnis(workspaces: Iterable<Workspace>): ReadonlySet<number> {
  const held = new Set<number>();
  for (const { state, vnis } of workspaces)
    if (state !== 'ended') for (const vni of Object.values(vnis)) held.add(vni);
  return held;
}

function firstFree(
  { first, last }: { readonly first: number; readonly last: number },
  lot: number,
  held: ReadonlySet<number>,
): number | undefined {
  const size = last - first + 1;
  for (let step = 0; step < size; step += 1) {
    const vni = first + ((lot + step) % size);
    if (!held.has(vni)) return vni;
  }
  return undefined;
}

function exhausted(network: string, { first, last }: { first: number; last: number }): Refusal {
  return {
    code: 'addresses_exhausted',
    message: `network ${network} has no free VNI (${last - first + 1} in all)`,
    hint: 'try again when other workspaces have ended, or use another network',
  };
}
