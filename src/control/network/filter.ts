import type { NicPlan } from '../../protocol/plan.ts';

/**
 * Source filtering (paper §3.3: ebtables "configured to recognize the associations and prevent any divergence"), as nftables text. One table
 * per tap, loaded in one transaction before the tap is up and deleted as a whole; one per bridge for what must not leave the node.
 */

/** The table of a tap. Interface names have at most 15 characters, table names many more. */
export function tapTable(tap: string): string {
  return `wsp-${tap}`;
}

export function bridgeTable(bridge: string): string {
  return `wsp-${bridge}`;
}

/** What a guest may send: its own MAC, its own IPv4 address, ARP about itself, DHCP requests. No IPv6, no DHCP answers. */
export function tapRules(nic: NicPlan): string {
  const { tap, mac, address } = nic;
  return `table bridge ${tapTable(tap)} {
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname != "${tap}" accept
    ether saddr != ${mac} drop
    ether type arp arp saddr ether != ${mac} drop
    ether type arp arp saddr ip != { ${address}, 0.0.0.0 } drop
    ether type arp accept
    ether type != ip drop
    udp sport 67 drop
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    ip saddr != ${address} drop
  }
}
`;
}

/**
 * What a bridge keeps on its node: DHCP, and the service address, which is the same on every node. Towards the node itself guests may only ask for an
 * address, ping, and answer connections that the node has opened (a TCP segment with SYN alone opens one).
 */
export function bridgeRules(nic: NicPlan, link: string | undefined): string {
  const { name, serviceAddress } = nic.bridge;
  const rules = (
    direction: 'iifname' | 'oifname',
    port: string,
  ): string => `    ${direction} "${port}" udp dport { 67, 68 } drop
    ${direction} "${port}" arp daddr ip ${serviceAddress} drop
    ${direction} "${port}" arp saddr ip ${serviceAddress} drop
    ${direction} "${port}" ip daddr ${serviceAddress} drop
    ${direction} "${port}" ip saddr ${serviceAddress} drop`;
  return `table bridge ${bridgeTable(name)} {
  chain out {
    type filter hook postrouting priority 0; policy accept;
${link === undefined ? '' : rules('oifname', link)}
  }
  chain in {
    type filter hook prerouting priority -200; policy accept;
${link === undefined ? '' : rules('iifname', link)}
  }
}
table inet ${bridgeTable(name)} {
  chain node {
    type filter hook input priority 0; policy accept;
    iifname != "${name}" accept
    udp dport 67 accept
    icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded } accept
    tcp flags & (syn | ack) != syn accept
    drop
  }
}
`;
}

/** Deletes a table whether it is there or not (nft has `destroy` only from 1.0.7 on): adding an existing table changes nothing. */
export function deleteTable(family: string, table: string): string {
  return `add table ${family} ${table}\ndelete table ${family} ${table}\n`;
}
