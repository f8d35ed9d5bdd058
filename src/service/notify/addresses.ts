import { lookup as lookUp, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Where webhooks may go. A user makes the service send requests, and the service stands where users do not: so never to the head node itself, to link-local
 * addresses or to a cloud's metadata service, unless the site allows it. What counts is the address that is connected to, at the moment of connecting: a name may
 * mean another one by then.
 */
export type AllowedNetworks = readonly string[];

const forbiddenRanges: ReadonlySet<string> = new Set([
  'unspecified',
  'broadcast',
  'multicast',
  'linkLocal',
  'loopback',
  'reserved',
]);
/** Metadata services outside of the link-local range: AWS over IPv6, Alibaba, Oracle. */
const metadata: ReadonlySet<string> = new Set(['fd00:ec2::254', '100.100.100.200', '192.0.0.192']);

/** Whether the address (IPv4 or IPv6 text) may not be connected to. What is no address may not. */
export function isForbidden(address: string, allowed: AllowedNetworks): boolean {
  if (!ipaddr.isValid(address)) return true;
  // ::ffff:127.0.0.1 is 127.0.0.1.
  const parsed = ipaddr.process(address);
  const isAllowed = allowed.some(network => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
  return !isAllowed && (forbiddenRanges.has(parsed.range()) || metadata.has(parsed.toString()));
}

/** A host that is an address itself, which no lookup is made for; undefined for a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/** `dns.lookup` that fails when a name means a forbidden address: what it gives is what is connected to. */
export function guardedLookup(allowed: AllowedNetworks): LookupFunction {
  return (hostname, options, callback) =>
    lookUp(hostname, { ...options, all: true }, (failure, found) => {
      const addresses: LookupAddress[] = failure ? [] : found;
      const bad = addresses.find(({ address }) => isForbidden(address, allowed));
      const [first] = addresses;
      if (failure) callback(failure, '', 0);
      else if (bad || !first)
        callback(new ForbiddenAddressError(hostname, bad?.address ?? 'no address'), '', 0);
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
}

/** The site does not let webhooks go there. */
export class ForbiddenAddressError extends Error {
  constructor(host: string, address: string) {
    super(`${host} is ${address}, where webhooks of this site may not go`);
    this.name = 'ForbiddenAddressError';
  }
}
