import { ipv4ToNumber, numberToIpv4 } from '../../protocol/ipv4.ts';
import type { NicPlan } from '../../protocol/plan.ts';

/** The network address of an IPv4 address and prefix length, for example `10.90.3.7`, 16 → `10.90.0.0`. */
export function networkAddress(address: string, prefixLength: number): string {
  const size = 2 ** (32 - prefixLength);
  return numberToIpv4(Math.floor(ipv4ToNumber(address) / size) * size);
}

/** The netmask of a prefix length, for example 16 → `255.255.0.0`. */
export function netmask(prefixLength: number): string {
  return numberToIpv4(2 ** 32 - 2 ** (32 - prefixLength));
}

/** The network that an interface is in, such as `10.90.0.0/16`. */
export function subnetOf({ address, prefixLength }: NicPlan): string {
  return `${networkAddress(address, prefixLength)}/${prefixLength}`;
}

/** Whether an address is in a network such as `10.90.0.0/16`. */
export function isWithin(address: string, subnet: string): boolean {
  const [network = '', prefix] = subnet.split('/');
  return networkAddress(address, Number(prefix)) === networkAddress(network, Number(prefix));
}
