/** The network address of an IPv4 address and prefix length, for example `10.90.3.7`, 16 → `10.90.0.0`. */
export function networkAddress(address: string, prefixLength: number): string {
  return mapOctets((octet, index) => octet & maskOctet(prefixLength, index), address);
}

/** The netmask of a prefix length, for example 16 → `255.255.0.0`. */
export function netmask(prefixLength: number): string {
  return mapOctets((_, index) => maskOctet(prefixLength, index), '0.0.0.0');
}

function maskOctet(prefixLength: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
  return (0xff << (8 - bits)) & 0xff;
}

function mapOctets(map: (octet: number, index: number) => number, address: string): string {
  return address
    .split('.')
    .map((octet, index) => map(Number(octet), index))
    .join('.');
}

/** Whether an address is in a network such as `10.90.0.0/16`. */
export function isWithin(address: string, subnet: string): boolean {
  const [network = '', prefix] = subnet.split('/');
  return networkAddress(address, Number(prefix)) === networkAddress(network, Number(prefix));
}
