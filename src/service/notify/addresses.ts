import { lookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

/**
 * Where webhooks may go. A user makes the service send requests, and the service stands where users
 * do not: so to public addresses alone, and to none of the host's own, unless the site allows it.
 * An address that carries another one (IPv4 inside of IPv6) goes where both may go. What counts is
 * the address that is connected to, at the moment of connecting: a name may mean another one by
 * then.
 */
export type AllowedNetworks = readonly string[];

/** `dns.lookup`, for all addresses of a name. */
export type LookUp = (
  hostname: string,
  options: LookupAllOptions,
  callback: (failure: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void;

/** What of IPv6 is given out (RFC 4291 §2.4); all else is for something else, or for later. */
const globalIpv6 = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];
/** Ranges whose addresses stand for the IPv4 address in them. */
const translated: ReadonlySet<string> = new Set(['ipv4Mapped', 'rfc6145', 'rfc6052', '6to4', 'teredo']);
/** Everybody's in the range `rfc6052`; nobody knows the form of sites' own ones (RFC 8215). */
const nat64 = ipaddr.parseCIDR('64:ff9b::/96') as [ipaddr.IPv6, number];
/** A metadata service at a public address: Azure's. */
const metadata = '168.63.129.16';

/** Whether the address (IPv4 or IPv6 text) may not be connected to. What is no address may not. */
export function isForbidden(address: string, allowed: AllowedNetworks): boolean {
  if (!ipaddr.isValid(address)) return true;
  const parsed = ipaddr.process(address);
  if (allowed.some(network => isIn(parsed, ipaddr.parseCIDR(network)))) return false;
  if (isOwn(parsed) || !isPublic(parsed)) return true;
  return (
    parsed.kind() === 'ipv6' && insideOf(parsed as ipaddr.IPv6).some(inside => isForbidden(inside, allowed))
  );
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function isIn(address: Address, [base, bits]: [Address, number]): boolean {
  return base.kind() === address.kind() && address.match(base, bits);
}

/** Whether anybody's requests may go there, by the address itself: not by what is inside of it. */
function isPublic(address: Address): boolean {
  const range = address.range();
  if (address.kind() === 'ipv4') return range === 'unicast' && address.toString() !== metadata;
  if (range === 'rfc6052') return isIn(address, nat64);
  return translated.has(range) || isCompatible(address) || (range === 'unicast' && isIn(address, globalIpv6));
}

/** `::a.b.c.d` (RFC 4291 §2.5.5.1), which nobody should use any more. */
function isCompatible(address: Address): boolean {
  return isIn(address, ipaddr.parseCIDR('::/96'));
}

/** The IPv4 addresses that an IPv6 address stands for. */
function insideOf(address: ipaddr.IPv6): readonly string[] {
  const { parts } = address;
  const ipv4At = (index: number, mask = 0): string => {
    const [high = 0, low = 0] = parts.slice(index, index + 2).map(part => part ^ mask);
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  };
  switch (address.range()) {
    case '6to4':
      return [ipv4At(1)];
    case 'teredo':
      // RFC 4380 §4: its server, and its client with every bit turned over.
      return [ipv4At(2), ipv4At(6, 0xffff)];
    default:
      return translated.has(address.range()) || isCompatible(address) || isIsatap(address) ? [ipv4At(6)] : [];
  }
}

/** RFC 5214 §6.1. */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return parts[5] === 0x5efe && (parts[4] === 0 || parts[4] === 0x200);
}

/** Whether it is one of this host's, at this moment. */
function isOwn(address: Address): boolean {
  const all = Object.values(networkInterfaces()).flatMap(each => each ?? []);
  return all.some(own => ipaddr.process(own.address).toString() === address.toString());
}

/** A host that is an address itself, which no lookup is made for; undefined for a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? undefined : bare;
}

/** `dns.lookup` that fails when a name means a forbidden address: what it gives is what is connected to. */
export function guardedLookup(allowed: AllowedNetworks, lookUp: LookUp = lookup): LookupFunction {
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
