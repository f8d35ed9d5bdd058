import { createHash } from 'node:crypto';
import type { BridgePlan, NicPlan } from '../../protocol/plan.ts';
import { linkKind } from './links/index.ts';

/** The port that a link makes, a VXLAN say. Bridges' names have 14 characters at most, this 15. */
export function ownPort(bridge: string): string {
  return `${bridge}x`;
}

/** The bridge's port towards other nodes, if it has one. */
export function linkInterface({ name, link }: BridgePlan): string | undefined {
  const kind = linkKind(link);
  return kind.takes?.(link) ?? (kind.makes?.(link) && ownPort(name));
}

/**
 * A MAC for the bridge itself, locally administered, the same each time on this node and another on
 * every node. A bridge without one takes its lowest port's, and changes it as VMs come and go:
 * their ARP entries for the node would be wrong.
 */
export function bridgeMac(node: string, bridge: string): string {
  const digest = createHash('sha256').update(`${node}/${bridge}`).digest('hex');
  return ['02', ...[0, 2, 4, 6, 8].map(at => digest.slice(at, at + 2))].join(':');
}

/** The alias of every interface that a helper makes: kill-all knows by it what is its own. */
export function linkMark(stateDir: string): string {
  return `workspace-pilot:${stateDir}`;
}

/**
 * `ip -batch` lines that make a bridge, and its port where its link makes one; nothing is up then, so that settings
 * and rules are there before the first frame. The site's own interface is not the bridge's before
 * `bridgeUpCommands`.
 */
export function bridgeCommands({ name, mtu, link }: BridgePlan, mac: string, mark: string): string[] {
  const made = linkKind(link).makes?.(link);
  const port = ownPort(name);
  return [
    `link add name ${name} address ${mac} mtu ${mtu} type bridge stp_state 0 mcast_snooping 0`,
    `link set dev ${name} alias ${mark}`,
    ...(made === undefined
      ? []
      : [
          `link add name ${port} type ${made}`,
          `link set dev ${port} mtu ${mtu} master ${name} alias ${mark}`,
          `link set dev ${port} type bridge_slave learning off`,
        ]),
  ];
}

/** `ip -batch` lines after which a bridge carries frames. */
export function bridgeUpCommands({ name, mtu, link, serviceAddress }: BridgePlan): string[] {
  const kind = linkKind(link);
  const taken = kind.takes?.(link);
  return [
    ...(kind.makes?.(link) ? [`link set dev ${ownPort(name)} up`] : []),
    ...(taken === undefined ? [] : [`link set dev ${taken} master ${name} up`]),
    `link set dev ${name} mtu ${mtu} up`,
    `addr add ${serviceAddress}/32 dev ${name} scope link`,
  ];
}

/** A kernel setting of an interface, by its path under /proc/sys/net. */
export type Setting = readonly [path: string, value: string];

/** A bridge answers ARP for its own address only, routes nothing, and has no IPv6. */
export function bridgeSettings(bridge: string): readonly Setting[] {
  return settings(bridge, '1');
}

/** A port of a bridge that we have made is never spoken to itself. */
export function portSettings(port: string): readonly Setting[] {
  return settings(port, '8');
}

function settings(device: string, arpIgnore: string): readonly Setting[] {
  return [
    [`ipv6/conf/${device}/disable_ipv6`, '1'],
    [`ipv6/conf/${device}/accept_ra`, '0'],
    [`ipv4/conf/${device}/arp_ignore`, arpIgnore],
    [`ipv4/conf/${device}/forwarding`, '0'],
  ];
}

/** `ip -batch` lines that make a tap on its bridge, owned by the job's user; it is not up. */
export function tapCommands({ tap, bridge }: NicPlan, uid: number, mark: string): string[] {
  return [
    `tuntap add dev ${tap} mode tap user ${uid}`,
    `link set dev ${tap} mtu ${bridge.mtu} master ${bridge.name} alias ${mark}`,
  ];
}

/** `ip -batch` lines after which a tap carries frames, with the node's route to its guest. */
export function tapUpCommands({ tap, bridge, address }: NicPlan): string[] {
  return [
    `link set dev ${tap} up`,
    `route add ${address}/32 dev ${bridge.name} src ${bridge.serviceAddress}`,
  ];
}
