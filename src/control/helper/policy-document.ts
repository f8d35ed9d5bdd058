import { isIPv4 } from 'node:net';
import type { HelperPolicy, PolicyNetwork } from '../../protocol/helper-policy.ts';
import { Unchecked } from '../../protocol/unchecked.ts';
import { isVxlan, linkIn, linkKind } from '../network/links/index.ts';

/** The most networks of a policy; a site has a few. */
const mostEntries = 1_000;

/** The policy in a parsed document. Throws an error that says where it is wrong, and how. */
export function parseHelperPolicy(value: unknown): HelperPolicy {
  const { networks, peers } = new Unchecked(value).object('networks', 'peers');
  return { networks: parsePolicyNetworks(networks), peers: peers.list(mostEntries).map(parseSubnet) };
}

/** The networks in a list. Throws as `parseHelperPolicy`. */
export function parsePolicyNetworks(from: Unchecked): readonly PolicyNetwork[] {
  return from.list(mostEntries).map(parseNetwork);
}

/** A sentence for each thing that the policy allows. */
export function policyWords({ networks, peers }: HelperPolicy): readonly string[] {
  const words = networks.map(({ name, first, last, link }) => {
    const range = `network ${name}: VMs with the addresses ${first} to ${last}`;
    return `${range}, ${linkKind(link).words(link)}`;
  });
  const reach = peers.length === 0 ? 'no other node' : `nodes in ${peers.join(', ')}`;
  return [
    ...(words.length === 0 ? ['no network'] : words),
    ...(networks.some(({ link }) => isVxlan(link)) ? [`VXLANs reach ${reach}`] : []),
  ];
}

function parseNetwork(from: Unchecked): PolicyNetwork {
  const { name, subnet, first, last, gateway, dns, serviceAddress, link } = from.object(
    ...(['name', 'subnet', 'first', 'last', 'gateway', 'dns', 'serviceAddress', 'link'] as const),
  );
  return {
    name: name.text(/^[^]{1,100}$/, 'a text of at most 100 characters'),
    subnet: parseSubnet(subnet),
    first: first.ipv4(),
    last: last.ipv4(),
    ...(gateway.value === undefined ? {} : { gateway: gateway.ipv4() }),
    dns: dns.list(mostEntries).map(each => each.ipv4()),
    serviceAddress: serviceAddress.ipv4(),
    link: linkIn(link).parse(link),
  };
}

/** As `10.90.0.0/16`. */
function parseSubnet(from: Unchecked): string {
  const what = 'a network such as 10.90.0.0/16';
  const text = from.text(/^[^/]+\/([1-9]|[12][0-9]|3[0-2])$/, what);
  return isIPv4(text.split('/')[0] ?? '') ? text : from.mustBe(what);
}
