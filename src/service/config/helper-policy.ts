import type { HelperPolicy, PolicyNetwork } from '../../protocol/helper-policy.ts';
import ipaddr from 'ipaddr.js';
import { serviceAddressOf } from '../pilots/plan.ts';
import { loadSite, type SiteConfig } from './site.ts';
import { poolNamed } from './site-pools.ts';
import type { SiteNetworkConfig } from './site-networks.ts';

/** Where nodes have their addresses (RFC 1918), as far as we know; the administrator narrows it. */
const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

/** What leases need of nodes' helpers and no more, in the networks that nodes reach (null: all). */
export function helperPolicyOf(
  { networks }: Pick<SiteConfig, 'networks'>,
  reaches: readonly string[] | null = null,
): HelperPolicy {
  const reached = networks.map(policyOf).filter(({ name }) => reaches?.includes(name) ?? true);
  return { networks: reached, peers: privateRanges };
}

/** The same, of a site file, for all pools or one. Throws as `loadSite` and `poolNamed`. */
export function helperPolicyOfFile(path: string, pool?: string): HelperPolicy {
  const site = loadSite(path);
  return helperPolicyOf(site, pool === undefined ? null : poolNamed(site.pools, pool).reaches);
}

function policyOf(network: SiteNetworkConfig, index: number): PolicyNetwork {
  const { name, prefixLength, firstAddress, lastAddress, gateway, dns, link } = network;
  return {
    name,
    subnet: `${ipaddr.IPv4.networkAddressFromCIDR(`${firstAddress}/${prefixLength}`).toString()}/${prefixLength}`,
    first: firstAddress,
    last: lastAddress,
    ...(gateway === null ? {} : { gateway }),
    dns,
    serviceAddress: serviceAddressOf(index),
    link,
  };
}
