import type { BridgePlan, NicPlan } from '../../protocol/plan.ts';

/** The VXLAN interface of a bridge; names stay within 15 characters because bridge names are at most 11 (`wb` and eight hex digits). */
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

/** `ip -batch` lines that make a bridge with its link. */
export function bridgeCommands(bridge: BridgePlan): string[] {
  const { name, mtu, link } = bridge;
  return [
    `link add name ${name} type bridge stp_state 0 mcast_snooping 0`,
    `link set dev ${name} addrgenmode none`,
    ...(link.kind === 'vxlan'
      ? [
          `link add name ${vxlanName(name)} type vxlan id ${link.vni} dstport ${link.port}`,
          `link set dev ${vxlanName(name)} addrgenmode none mtu ${mtu} master ${name} up`,
        ]
      : []),
    ...(link.kind === 'uplink' ? [`link set dev ${link.interface} master ${name} up`] : []),
    `link set dev ${name} mtu ${mtu} up`,
    `addr add ${bridge.serviceAddress}/32 dev ${name}`,
  ];
}

/** `bridge -batch` lines: unicast flooding to the slot's other nodes, so that the site needs no multicast. */
export function floodCommands(bridge: BridgePlan): string[] {
  const { link, name } = bridge;
  if (link.kind !== 'vxlan') return [];
  return link.peers.map(
    peer => `fdb append 00:00:00:00:00:00 dev ${vxlanName(name)} dst ${peer} self permanent`,
  );
}

/** `ip -batch` lines that make a tap on its bridge, owned by the job's user, and the node's route to its guest. */
export function tapCommands(nic: NicPlan, uid: number): string[] {
  const { tap, bridge, address } = nic;
  return [
    `tuntap add dev ${tap} mode tap user ${uid}`,
    `link set dev ${tap} addrgenmode none mtu ${bridge.mtu} master ${bridge.name} up`,
    `route add ${address}/32 dev ${bridge.name} src ${bridge.serviceAddress}`,
  ];
}
