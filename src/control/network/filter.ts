import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { linkKind } from './links/index.ts';

/**
 * Source filtering (paper §3.3: ebtables "configured to recognize the associations and prevent any divergence"), as nftables text. One table
 * per tap, loaded in one transaction before the tap is up and deleted as a whole; one per bridge and family for what must not leave the
 * bridge or reach the node.
 */

/** Families of nftables that a bridge has a table of. */
const families = ['bridge', 'inet', 'netdev'] as const;
type Family = (typeof families)[number];

/** The table of a tap or a bridge, of this name in each family. Table names may be long. */
function tableOf(link: string): string {
  return `wsp-${link}`;
}

/**
 * What a guest may send: its own MAC, its own IPv4 address, ARP about itself, DHCP requests. No
 * IPv6, no VLAN, no DHCP answers, and to no group but all hosts and those of IPv4 multicast. It
 * stands at the tap itself, before the bridge: what is sent to a bridge's own group addresses
 * (01:80:c2:00:00:0X) the bridge hands to the node without asking its filters. The tap must be
 * there, and not up yet.
 */
export function tapRules(nic: NicPlan): string {
  const { tap, mac, address } = nic;
  return replaceTable(
    'netdev',
    tableOf(tap),
    `  chain guard {
    type filter hook ingress device "${tap}" priority 0; policy drop;
    ether saddr != ${mac} drop
    ether type != { ip, arp } drop
    ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 ether daddr != ff:ff:ff:ff:ff:ff ether daddr & ff:ff:ff:80:00:00 != 01:00:5e:00:00:00 drop
    arp htype != 1 drop
    arp hlen != 6 drop
    arp plen != 4 drop
    arp saddr ether != ${mac} drop
    arp operation request arp saddr ip 0.0.0.0 accept
    arp saddr ip ${address} accept
    udp sport 67 drop
    ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
    ip saddr ${address} accept
  }
`,
  );
}

/**
 * What a bridge keeps on its node: DHCP, and the service address, which is the same on every node. Towards the node itself guests may only ask for
 * an address, ping, and answer connections that the node has opened: a TCP segment with SYN alone opens one. That rule needs no connection
 * tracking, which would otherwise be switched on for all of the node's traffic. Nothing is routed to or from the bridge.
 *
 * Its ports are closed to the node. What comes to a bridge's own group addresses would get there
 * past the bridge; what daemons of the node may want of the site's network at these addresses
 * (LLDP, LACP) is none of the types that are dropped.
 *
 * `link`: its port towards other nodes, for which its kind of link may have rules of its own.
 */
export function bridgeRules(nic: NicPlan, link: string | undefined): string {
  const { name, serviceAddress } = nic.bridge;
  const own = link === undefined ? undefined : linkKind(nic.bridge.link).rules?.(nic.bridge.link, link);
  const ports = link === undefined ? [] : [link];
  const ofTheNode = [
    'udp dport { 67, 68 }',
    ...['arp daddr ip', 'arp saddr ip', 'ip daddr', 'ip saddr'].map(of => `${of} ${serviceAddress}`),
  ];
  const kept = (direction: 'iifname' | 'oifname'): string => {
    const rules = ofTheNode.map(match => `    ${direction} "${link}" ${match} drop\n`);
    return link === undefined ? '' : rules.join('');
  };
  const bridging = `  chain out {
    type filter hook postrouting priority 0; policy accept;
${kept('oifname')}${own?.out ?? ''}  }
  chain in {
    type filter hook prerouting priority -200; policy accept;
${kept('iifname')}  }
`;
  const atPort = ports.map(
    port => `  chain port {
    type filter hook ingress device "${port}" priority 0; policy accept;
    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 ether type { ip, arp, ip6, vlan, 0x88a8 } drop
  }
`,
  );
  const closed = ['wt*', ...ports].map(device => `    iifname "${device}" drop\n`).join('');
  const node = `  chain node {
    type filter hook input priority 0; policy accept;
${closed}    iifname != "${name}" accept
    ip daddr { 255.255.255.255, ${serviceAddress} } udp dport 67 accept
    ip daddr != ${serviceAddress} drop
    icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded } accept
    tcp flags & (syn | ack) != syn accept
    drop
  }
  chain routed {
    type filter hook forward priority 0; policy accept;
    iifname "${name}" oifname != "${name}" drop
    oifname "${name}" iifname != "${name}" drop
  }
`;
  return (
    replaceTable('bridge', tableOf(name), bridging) +
    replaceTable('inet', tableOf(name), node + (own?.inet ?? '')) +
    replaceTable('netdev', tableOf(name), atPort.join(''))
  );
}

/** Whose datagrams a bridge's VXLAN takes, instead of those before. */
export function peerRules(bridge: string, peers: readonly VxlanPeer[]): string {
  const set = `inet ${tableOf(bridge)} peers`;
  const addresses = peers.map(({ address }) => address).join(', ');
  return `flush set ${set}\n${addresses === '' ? '' : `add element ${set} { ${addresses} }\n`}`;
}

/** Deletes what `tapRules` has made for a tap, or `bridgeRules` for a bridge. */
export function deleteRulesOf(link: string): string {
  return families.map(family => deleteTable(family, tableOf(link))).join('');
}

/** Deletes a table whether it is there or not (nft has `destroy` only from 1.0.7 on): adding an existing table changes nothing. */
function deleteTable(family: Family, table: string): string {
  return `add table ${family} ${table}\ndelete table ${family} ${table}\n`;
}

/** The table, whatever was in it before: a request that is repeated does not double the rules. */
function replaceTable(family: Family, table: string, chains: string): string {
  return `${deleteTable(family, table)}table ${family} ${table} {\n${chains}}\n`;
}
