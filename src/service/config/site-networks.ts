import ipaddr from 'ipaddr.js';
import { linkKind, readLink } from '../../control/network/links/index.ts';
import { ipv4ToNumber, numberToIpv4 } from '../../protocol/ipv4.ts';
import type { SiteNetwork } from '../pilots/plan.ts';
import type { NetworkEntry } from './site-file.ts';
import { type Mistake, sectionReader } from './site-values.ts';

/** A network with its pool of addresses, all defaults filled in. */
export interface SiteNetworkConfig extends SiteNetwork {
  readonly lastAddress: string;
}

/** Ranges that cannot be a network of VMs; link-local is also what bridges' own addresses come from. */
const unusable = new Set(['loopback', 'linkLocal', 'multicast', 'unspecified', 'broadcast']);

interface Range {
  readonly from: number;
  readonly to: number;
}

/** The site's networks, normalised; every mistake is told, and what has one is left out. */
export function networksOf(entries: readonly NetworkEntry[], mistake: Mistake): readonly SiteNetworkConfig[] {
  const networks: { readonly path: string; readonly network: SiteNetworkConfig }[] = [];
  for (const [index, entry] of entries.entries()) {
    const path = `networks[${index}]`;
    const network = networkOf(entry, path, entries, mistake);
    if (!network) continue;
    for (const other of networks) compare(network, path, other.network, other.path, mistake);
    networks.push({ path, network });
  }
  return networks.map(({ network }) => network);
}

function networkOf(
  entry: NetworkEntry,
  path: string,
  entries: readonly NetworkEntry[],
  mistake: Mistake,
): SiteNetworkConfig | undefined {
  const subnet = subnetOf(entry.subnet, message => mistake(`${path}.subnet`, message));
  if (!subnet) return undefined;
  const { hosts, prefixLength } = subnet;
  const inside = (key: 'first' | 'last' | 'gateway'): number | undefined => {
    const text = entry[key];
    if (text === undefined) return undefined;
    const address = ipv4ToNumber(text);
    if (address >= hosts.from && address <= hosts.to) return address;
    mistake(`${path}.${key}`, `${text} is not a host of ${entry.subnet} (${rangeText(hosts)})`);
    return undefined;
  };
  const gateway = inside('gateway');
  const from = inside('first') ?? (gateway === hosts.from ? hosts.from + 1 : hosts.from);
  const to = inside('last') ?? (gateway === hosts.to ? hosts.to - 1 : hosts.to);
  if (from > to)
    mistake(`${path}.last`, `${numberToIpv4(to)} is before the first address ${numberToIpv4(from)}`);
  if (gateway !== undefined && gateway >= from && gateway <= to)
    mistake(
      `${path}.gateway`,
      `${entry.gateway} is among the addresses to give out (${rangeText({ from, to })}): set first and last`,
    );
  const taken = entries
    .flatMap(({ dns = [] }) => dns)
    .find(each => ipv4ToNumber(each) >= from && ipv4ToNumber(each) <= to);
  if (taken !== undefined)
    mistake(
      path,
      `the name server ${taken} is among the addresses to give out (${rangeText({ from, to })}): set first and last`,
    );
  const link = readLink(
    entry.link,
    to - from + 1,
    entries.map(each => each.link),
    sectionReader(`${path}.link`, text => text, mistake),
  );
  return {
    name: entry.name,
    prefixLength,
    firstAddress: numberToIpv4(from),
    lastAddress: numberToIpv4(to),
    gateway: entry.gateway ?? null,
    dns: entry.dns ?? [],
    link,
    mtu: entry.mtu ?? null,
  };
}

function subnetOf(
  text: string,
  mistake: (message: string) => void,
): { hosts: Range; prefixLength: number } | undefined {
  if (!ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) {
    mistake(`must be a network such as 10.90.0.0/16 (it is ${JSON.stringify(text)})`);
    return undefined;
  }
  const [address, prefixLength] = ipaddr.IPv4.parseCIDR(text);
  if (prefixLength < 8 || prefixLength > 30) {
    mistake(`the prefix must be from /8 to /30 (it is /${prefixLength})`);
    return undefined;
  }
  const network = ipaddr.IPv4.networkAddressFromCIDR(text).toString();
  if (network !== address.toString()) {
    mistake(`${text} is an address in a network, not the network: write ${network}/${prefixLength}`);
    return undefined;
  }
  if (unusable.has(address.range())) {
    mistake(`${text} is ${address.range()}: VMs cannot be given addresses there`);
    return undefined;
  }
  const from = ipv4ToNumber(network) + 1;
  return { hosts: { from, to: from + 2 ** (32 - prefixLength) - 3 }, prefixLength };
}

/** What no two networks may share: names, addresses (MACs and taps are made from them), what is of one link alone. */
function compare(
  one: SiteNetworkConfig,
  path: string,
  other: SiteNetworkConfig,
  otherPath: string,
  mistake: Mistake,
): void {
  if (one.name === other.name) mistake(`${path}.name`, `is the name of ${otherPath} too`);
  if (overlap(poolOf(one), poolOf(other)))
    mistake(
      `${path}.subnet`,
      `its addresses ${rangeText(poolOf(one))} overlap those of ${otherPath}, ${rangeText(poolOf(other))}`,
    );
  if (one.link.kind === other.link.kind)
    linkKind(one.link).compare?.(one.link, other.link, otherPath, (key, message) =>
      mistake(`${path}.link.${key}`, message),
    );
}

function poolOf({ firstAddress, lastAddress }: SiteNetworkConfig): Range {
  return { from: ipv4ToNumber(firstAddress), to: ipv4ToNumber(lastAddress) };
}

function overlap(one: Range, other: Range): boolean {
  return one.from <= other.to && other.from <= one.to;
}

function rangeText({ from, to }: Range): string {
  return `${numberToIpv4(from)} to ${numberToIpv4(to)}`;
}
