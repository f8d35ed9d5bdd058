import type { PolicyNetwork } from '../../src/protocol/helper-policy.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import type { Dice } from '../sim/dice.ts';
import type { Actor } from './model.ts';
import type { Home } from './homes.ts';
import { policy } from './policy.ts';

/** What an actor does at once. */
export type Move =
  /** Asks their helper for something. */
  | { readonly kind: 'ask'; readonly request: Ask }
  /** Asks, kills the helper soon after, starts it again and asks again. */
  | { readonly kind: 'kill'; readonly request: Ask; readonly afterMs: number }
  /** Ends the pilot, so that the helper undoes the slot, and starts another. */
  | { readonly kind: 'end' }
  /** Puts a link to something of the other user's where a directory of their own was. */
  | { readonly kind: 'swap'; readonly path: string; readonly to: string };

/** A request without its id. */
export type Ask =
  | { readonly op: 'attach-nic'; readonly nic: NicPlan; readonly hostname: string }
  | { readonly op: 'detach-nic'; readonly tap: string }
  | {
      readonly op: 'set-peers';
      readonly bridge: string;
      readonly peers: readonly { address: string; macs: string[] }[];
    }
  | { readonly op: 'adopt-process'; readonly pid: number }
  | { readonly op: 'adopt-directory'; readonly path: string }
  | { readonly op: 'check-networks'; readonly networks: readonly PolicyNetwork[] }
  | { readonly op: 'undo' };

/**
 * Few enough names that everybody wants the same, and now and then what the policy does not allow.
 * The last is what the first one's VXLAN is called.
 */
const bridges = ['wbf', 'wbg', 'wbfx'] as const;
const taps = ['wtf1', 'wtf2', 'wtf3', 'wtf4'] as const;

/**
 * A move of an actor's. `homes`: all that has been given to users, so that they try it on each
 * other's.
 */
export function moveOf(dice: Dice, actor: Actor, homes: readonly Home[]): Move {
  const own = homes.find(({ uid }) => uid === actor.uid);
  const other = homes.find(({ uid }) => uid !== actor.uid);
  const path = own?.directories[0];
  const to = other?.directories[0];
  if (path !== undefined && to !== undefined && dice.chance(0.04)) return { kind: 'swap', path, to };
  if (dice.chance(0.05)) return { kind: 'end' };
  const request = askOf(dice, homes);
  return dice.chance(0.12) ? { kind: 'kill', request, afterMs: dice.int(0, 60) } : { kind: 'ask', request };
}

function askOf(dice: Dice, homes: readonly Home[]): Ask {
  const home = homes[dice.int(0, homes.length - 1)];
  const pid = home?.pids[dice.int(0, home.pids.length - 1)] ?? 2;
  const path = home?.directories[dice.int(0, home.directories.length - 1)] ?? '/a/b/c';
  switch (dice.int(0, 12)) {
    case 0:
    case 1:
      return { op: 'detach-nic', tap: dice.pick(taps) };
    case 2:
      return { op: 'set-peers', bridge: dice.pick(bridges), peers: peersOf(dice) };
    case 3:
      return { op: 'adopt-process', pid };
    case 4:
      return { op: 'adopt-directory', path };
    case 5:
      return dice.chance(0.5) ? { op: 'undo' } : { op: 'adopt-directory', path };
    case 6:
      return { op: 'check-networks', networks: networksOf(dice) };
    default:
      return { op: 'attach-nic', nic: nicOf(dice), hostname: 'vm' };
  }
}

function networksOf(dice: Dice): readonly PolicyNetwork[] {
  return policy.networks
    .filter(() => dice.chance(0.6))
    .map(network => (dice.chance(0.2) ? { ...network, last: '10.91.0.9' } : network));
}

function nicOf(dice: Dice): NicPlan {
  const last = dice.int(1, 5);
  const link = linkOf(dice);
  return {
    network: link.kind,
    mac: `02:00:00:00:00:0${dice.chance(0.8) ? last : dice.int(1, 5)}`,
    address: `10.91.${dice.chance(0.95) ? 0 : 1}.${last}`,
    prefixLength: 24,
    dns: [],
    tap: dice.pick(taps),
    bridge: {
      name: dice.pick(bridges),
      link,
      serviceAddress: `169.254.77.${dice.chance(0.9) ? 1 : 2}`,
      mtu: 1_450,
    },
  };
}

function linkOf(dice: Dice): NicPlan['bridge']['link'] {
  switch (dice.int(0, 4)) {
    case 0:
      return { kind: 'isolated' };
    case 1:
      return { kind: 'uplink', interface: 'eth1' };
    default:
      return { kind: 'vxlan', vni: dice.chance(0.8) ? 7 : dice.int(8, 9), port: 4_789, peers: peersOf(dice) };
  }
}

function peersOf(dice: Dice): { address: string; macs: string[] }[] {
  return Array.from({ length: dice.int(0, 2) }, () => ({
    address: `10.92.${dice.chance(0.95) ? 0 : 1}.${dice.int(1, 3)}`,
    macs: [`02:00:00:00:00:0${dice.int(6, 9)}`],
  })).filter(({ address }, index, all) => all.findIndex(each => each.address === address) === index);
}
