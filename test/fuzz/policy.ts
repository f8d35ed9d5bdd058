import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVxlan } from '../../src/control/network/links/index.ts';
import type { HelperPolicy, PolicyNetwork } from '../../src/protocol/helper-policy.ts';
import type { NicPlan, VxlanPeer } from '../../src/protocol/plan.ts';

const common = {
  subnet: '10.91.0.0/24',
  first: '10.91.0.1',
  last: '10.91.0.8',
  gateway: '10.91.0.254',
  dns: ['10.91.0.253'],
  serviceAddress: '169.254.77.1',
} as const satisfies Partial<PolicyNetwork>;

/** What root allows on the node of the fuzz: a network of each kind. */
export const policy: HelperPolicy = {
  networks: [
    { ...common, name: 'isolated', link: { kind: 'isolated' } },
    { ...common, name: 'uplink', link: { kind: 'uplink', interface: 'eth1' } },
    { ...common, name: 'vxlan', link: { kind: 'vxlan', port: 4_789, firstVni: 1, lastVni: 8 } },
  ],
  peers: ['10.92.0.0/24'],
};

/** Writes the policy for a helper; where it is. */
export function writePolicy(place: string): string {
  const path = join(place, 'helper.json');
  writeFileSync(path, JSON.stringify(policy));
  chmodSync(path, 0o644);
  return path;
}

/** Whether the policy allows an interface: told by other means than the helper's own. */
export function allows({ network, address, prefixLength, gateway, dns, bridge }: NicPlan): boolean {
  const { link, serviceAddress } = bridge;
  const isLink =
    network === link.kind &&
    (link.kind !== 'uplink' || link.interface === 'eth1') &&
    (!isVxlan(link) || (link.port === 4_789 && link.vni <= 8 && allowsPeers(link.peers)));
  return (
    isLink &&
    prefixLength === 24 &&
    /^10\.91\.0\.[1-8]$/.test(address) &&
    [undefined, '10.91.0.254'].includes(gateway) &&
    dns.every(each => each === '10.91.0.253') &&
    serviceAddress === '169.254.77.1'
  );
}

/**
 * Whether the policy has all of these networks: `moves.ts` asks for those that it has, and for one
 * that goes too far.
 */
export function hasNetworks(networks: readonly PolicyNetwork[]): boolean {
  return networks.every(({ last }) => last === common.last);
}

/** Whether the policy allows a VXLAN these peers. */
export function allowsPeers(peers: readonly VxlanPeer[]): boolean {
  return peers.every(({ address }) => address.startsWith('10.92.0.'));
}
