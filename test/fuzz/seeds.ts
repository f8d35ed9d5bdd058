import type { Dice } from '../sim/dice.ts';

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const letters = ['a', 'b', 'c', '0', '7'] as const;

/** A request that is valid, of any operation. */
export function requestOf(dice: Dice): Json {
  const id = dice.int(1, 1_000);
  switch (dice.int(0, 7)) {
    case 0:
      return { id, op: 'detach-nic', tap: tapOf(dice) };
    case 1:
      return { id, op: 'set-peers', bridge: bridgeOf(dice), peers: peersOf(dice) };
    case 2:
      return { id, op: 'adopt-process', pid: dice.int(2, 2 ** 22) };
    case 3:
      return { id, op: 'adopt-directory', path: `/srv/${dice.pick(letters)}/${dice.pick(letters)}` };
    case 4:
      return { id, op: 'undo' };
    default:
      return { id, op: 'attach-nic', nic: nicOf(dice), hostname: `worker-${dice.int(0, 9)}` };
  }
}

function nicOf(dice: Dice): Json {
  const link = linkOf(dice);
  return {
    network: link.kind,
    mac: macOf(dice),
    address: addressOf(dice),
    prefixLength: dice.chance(0.9) ? 24 : 16,
    ...(dice.chance(0.5) ? { gateway: '10.91.0.254' } : {}),
    dns: dice.chance(0.5) ? ['10.91.0.253'] : [],
    tap: tapOf(dice),
    bridge: {
      name: bridgeOf(dice),
      link,
      serviceAddress: `169.254.77.${dice.chance(0.9) ? 1 : 2}`,
      mtu: dice.pick([1_450, 1_500]),
    },
  };
}

function linkOf(dice: Dice): { readonly kind: string; readonly [key: string]: Json } {
  switch (dice.int(0, 2)) {
    case 0:
      return { kind: 'uplink', interface: 'eth1' };
    case 1:
      return { kind: 'vxlan', vni: dice.int(1, 9), peers: peersOf(dice), port: 4_789 };
    default:
      return { kind: 'isolated' };
  }
}

function peersOf(dice: Dice): Json {
  return Array.from({ length: dice.int(0, 2) }, (_, index) => ({
    address: `10.92.0.${index + 1}`,
    macs: [macOf(dice)],
  }));
}

const tapOf = (dice: Dice): string => `wt${dice.pick(letters)}${dice.pick(letters)}`;
const bridgeOf = (dice: Dice): string => `wb${dice.pick(letters)}`;
const macOf = (dice: Dice): string => `02:00:00:00:00:0${dice.int(1, 9)}`;
const addressOf = (dice: Dice): string => `10.91.0.${dice.int(1, 9)}`;
