import { createHash } from 'node:crypto';
import type { BridgePlan, NicPlan } from '../../protocol/plan.ts';

/** The VXLAN interface of a bridge; names stay within 15 characters because bridge names have at most 14 (`wb` and eight hex digits). */
export function vxlanName(bridge: string): string {
  return `${bridge}x`;
}

/** The bridge's port towards other nodes, if it has one. */
export function linkInterface(bridge: BridgePlan): string | undefined {
  switch (bridge.link.kind) {
    case 'uplink':
      return bridge.link.interface;
    case 'vxlan':
      return vxlanName(bridge.name);
    case 'isolated':
      return undefined;
  }
}

/**
 * A MAC for the bridge itself, locally administered, the same each time on this node and another on every node. A bridge without one takes
 * its lowest port's, and changes it as VMs come and go: their ARP entries for the node would be wrong.
 */
export function bridgeMac(node: string, bridge: string): string {
  const digest = createHash('sha256').update(`${node}/${bridge}`).digest('hex');
  return ['02', ...[0, 2, 4, 6, 8].map(at => digest.slice(at, at + 2))].join(':');
}

/** No IPv6 address of its own; nothing to say where the node has no IPv6 at all (`ipv6.disable=1`). */
function noAddresses(hasIpv6: boolean): string {
  return hasIpv6 ? 'addrgenmode none ' : '';
}

/** `ip -batch` lines that make a bridge with its link. */
export function bridgeCommands(bridge: BridgePlan, mac: string, hasIpv6: boolean): string[] {
  const { name, mtu, link } = bridge;
  const quiet = noAddresses(hasIpv6);
  const vxlan = vxlanName(name);
  return [
    `link add name ${name} address ${mac} type bridge stp_state 0 mcast_snooping 0`,
    ...(link.kind === 'vxlan'
      ? [
          `link add name ${vxlan} type vxlan id ${link.vni} dstport ${link.port}`,
          `link set dev ${vxlan} ${quiet}mtu ${mtu} master ${name} up`,
        ]
      : []),
    ...(link.kind === 'uplink' ? [`link set dev ${link.interface} master ${name} up`] : []),
    `link set dev ${name} ${quiet}mtu ${mtu} up`,
    `addr add ${bridge.serviceAddress}/32 dev ${name} scope link`,
  ];
}

/** Kernel settings of a bridge, by their paths under /proc/sys/net: it answers ARP for its own address only, and routes nothing. */
export function bridgeSettings(bridge: string): readonly (readonly [path: string, value: string])[] {
  return [
    [`ipv6/conf/${bridge}/disable_ipv6`, '1'],
    [`ipv4/conf/${bridge}/arp_ignore`, '1'],
    [`ipv4/conf/${bridge}/forwarding`, '0'],
  ];
}

/** `bridge -batch` lines: unicast flooding to the slot's other nodes, so that the site needs no multicast. */
export function floodCommands(bridge: string, peers: readonly string[]): string[] {
  return peers.map(
    peer => `fdb append 00:00:00:00:00:00 dev ${vxlanName(bridge)} dst ${peer} self permanent`,
  );
}

/** `ip -batch` lines that make a tap on its bridge, owned by the job's user, and the node's route to its guest. */
export function tapCommands(nic: NicPlan, uid: number, hasIpv6: boolean): string[] {
  const { tap, bridge, address } = nic;
  return [
    `tuntap add dev ${tap} mode tap user ${uid}`,
    `link set dev ${tap} ${noAddresses(hasIpv6)}mtu ${bridge.mtu} master ${bridge.name} up`,
    `route add ${address}/32 dev ${bridge.name} src ${bridge.serviceAddress}`,
  ];
}
