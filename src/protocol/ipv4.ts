/** `10.90.0.1` as a number. The text is a dotted quad, checked where it came in. */
export function ipv4ToNumber(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

/** The inverse of `ipv4ToNumber`. */
export function numberToIpv4(number: number): string {
  return [24, 16, 8, 0].map(shift => (number >>> shift) & 255).join('.');
}
