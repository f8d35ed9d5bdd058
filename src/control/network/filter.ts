import type { NicPlan } from '../../protocol/plan.ts';

/**
 * Source filtering (paper §3.3: ebtables "configured to recognize the associations and prevent any divergence"), as nftables text. One table
 * per tap, loaded in one transaction before the tap is up and deleted as a whole; one per bridge and family for what must not leave the
 * bridge or reach the node.
 */

/** The table of a tap. Interface names have at most 15 characters, table names many more. */
export function tapTable(tap: string): string {
  return `wsp-${tap}`;
}

/** The tables of a bridge: one of this name in each family. */
export function bridgeTable(bridge: string): string {
  return `wsp-${bridge}`;
}

/** What a guest may send: its own MAC, its own IPv4 address, ARP about itself, DHCP requests. No IPv6, no VLAN, no DHCP answers. */
export function tapRules(nic: NicPlan): string {
  const { tap, mac, address } = nic;
  return replaceTable(
    'bridge',
    tapTable(tap),
    `  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname != "${tap}" accept
    ether saddr != ${mac} drop
    ether type arp arp htype != 1 drop
    ether type arp arp hlen != 6 drop
    ether type arp arp plen != 4 drop
    ether type arp arp saddr ether != ${mac} drop
    ether type arp arp operation request arp saddr ip 0.0.0.0 accept
    ether type arp arp saddr ip != ${address} drop
    ether type arp accept
    ether type != ip drop
    udp sport 67 drop
    ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
    ip saddr != ${address} drop
  }
`,
  );
}

/**
 * What a bridge keeps on its node: DHCP, and the service address, which is the same on every node. Towards the node itself guests may only ask for
 * an address, ping, and answer connections that the node has opened: a TCP segment with SYN alone opens one. That rule needs no connection
 * tracking, which would otherwise be switched on for all of the node's traffic. Nothing is routed to or from the bridge.
 */
export function bridgeRules(nic: NicPlan, link: string | undefined): string {
  const { name, serviceAddress } = nic.bridge;
  const kept = (direction: 'iifname' | 'oifname'): string =>
    link === undefined
      ? ''
      : [
          'udp dport { 67, 68 }',
          `arp daddr ip ${serviceAddress}`,
          `arp saddr ip ${serviceAddress}`,
          `ip daddr ${serviceAddress}`,
          `ip saddr ${serviceAddress}`,
        ]
          .map(match => `    ${direction} "${link}" ${match} drop\n`)
          .join('');
  const bridging = `  chain out {
    type filter hook postrouting priority 0; policy accept;
${kept('oifname')}  }
  chain in {
    type filter hook prerouting priority -200; policy accept;
${kept('iifname')}  }
`;
  const node = `  chain node {
    type filter hook input priority 0; policy accept;
    iifname != "${name}" accept
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
  return replaceTable('bridge', bridgeTable(name), bridging) + replaceTable('inet', bridgeTable(name), node);
}

/** Deletes a table whether it is there or not (nft has `destroy` only from 1.0.7 on): adding an existing table changes nothing. */
export function deleteTable(family: 'bridge' | 'inet', table: string): string {
  return `add table ${family} ${table}\ndelete table ${family} ${table}\n`;
}

/** The table, whatever was in it before: a request that is repeated does not double the rules. */
function replaceTable(family: 'bridge' | 'inet', table: string, chains: string): string {
  return `${deleteTable(family, table)}table ${family} ${table} {\n${chains}}\n`;
}
