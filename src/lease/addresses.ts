import { ipv4ToNumber, numberToIpv4 } from '../protocol/ipv4.ts';
import type { AssignedNic, Vm } from './model.ts';
import type { NetworkPool } from './settings.ts';
import { isFinalVm } from './transitions.ts';

/**
 * Address pools (docs/decisions/0003). An address is free when no live VM holds it, on whatever
 * network: MAC and tap are made from the address, so one rule makes all three unique.
 */

/** Locally administered, unicast, the same for the same address for ever: nobody's ARP cache is wrong when an address is given out again. */
export function macOf(address: string): string {
  return ['52', '54', ...address.split('.').map(part => hex(Number(part), 2))].join(':');
}

/** At most 15 characters (IFNAMSIZ - 1), unique on a node because the address is. */
export function tapOf(address: string): string {
  return `wt${hex(ipv4ToNumber(address), 8)}`;
}

/** All addresses that live VMs hold. */
export function heldAddresses(vms: Iterable<Vm>): Set<string> {
  const held = new Set<string>();
  for (const vm of vms) if (!isFinalVm(vm.state)) for (const { address } of vm.nics) held.add(address);
  return held;
}

/** How many addresses a pool could give out at most. */
export function poolSize(pool: NetworkPool): number {
  return Math.max(0, ipv4ToNumber(pool.lastAddress) - ipv4ToNumber(pool.firstAddress) + 1);
}

/** Whether an address is one that the pool gives out. */
export function isInPool(address: string, { firstAddress, lastAddress }: NetworkPool): boolean {
  const number = ipv4ToNumber(address);
  return number >= ipv4ToNumber(firstAddress) && number <= ipv4ToNumber(lastAddress);
}

/** Gives out addresses for one decision: lowest free first, never one twice. */
export class AddressAllocator {
  readonly #held: Set<string>;
  /** Where to look next in each pool: below it nothing is free. */
  readonly #next = new Map<string, number>();

  constructor(held: Set<string>) {
    this.#held = held;
  }

  /** An interface on the pool's network, or undefined when the pool is exhausted. */
  assign(pool: NetworkPool): AssignedNic | undefined {
    const last = ipv4ToNumber(pool.lastAddress);
    for (let at = this.#next.get(pool.name) ?? ipv4ToNumber(pool.firstAddress); at <= last; at++) {
      const address = numberToIpv4(at);
      if (this.#held.has(address)) continue;
      this.#held.add(address);
      this.#next.set(pool.name, at + 1);
      return { network: pool.name, mac: macOf(address), address, tap: tapOf(address) };
    }
    return undefined;
  }
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, '0');
}
