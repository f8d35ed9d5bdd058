import { describe, expect, it } from 'vitest';
import type { NicPlan } from '../../protocol/plan.ts';
import { parseInterfaceNames } from './interfaces.ts';
import {
  bridgeCommands,
  bridgeMac,
  bridgeSettings,
  bridgeUpCommands,
  linkInterface,
  linkMark,
  portSettings,
  tapCommands,
  tapUpCommands,
} from './bridge.ts';
import { isWithin, netmask, networkAddress } from './subnet.ts';

/** What these make of interfaces is seen on real ones (test/e2e/helper.test.ts); here, each command as it is. */
const nicOf = (link: NicPlan['bridge']['link']): NicPlan => ({
  network: 'private',
  mac: '02:00:00:00:00:01',
  address: '10.91.0.1',
  prefixLength: 24,
  dns: [],
  tap: 'wttest1',
  bridge: { name: 'wbtest', link, serviceAddress: '169.254.77.1', mtu: 1_450 },
});
const isolated = nicOf({ kind: 'isolated' });
const vxlan = nicOf({ kind: 'vxlan', vni: 7, port: 4_789, peers: [] });
const uplink = nicOf({ kind: 'uplink', interface: 'eth1' });

describe('a bridge', () => {
  const made = [
    'link add name wbtest address 02:aa mtu 1450 type bridge stp_state 0 mcast_snooping 0',
    'link set dev wbtest alias mark',
  ];
  const up = ['link set dev wbtest mtu 1450 up', 'addr add 169.254.77.1/32 dev wbtest scope link'];

  it.each([
    ['of one node alone', isolated, [], [], undefined],
    [
      'with a VXLAN, which learns nothing',
      vxlan,
      [
        'link add name wbtestx type vxlan id 7 dstport 4789 nolearning',
        'link set dev wbtestx mtu 1450 master wbtest alias mark',
        'link set dev wbtestx type bridge_slave learning off',
      ],
      ['link set dev wbtestx up'],
      'wbtestx',
    ],
    [
      'with the site’s interface, its own from now on',
      uplink,
      [],
      ['link set dev eth1 master wbtest up'],
      'eth1',
    ],
  ])('%s', (_, { bridge }, linkMade, linkUp, link) => {
    expect(bridgeCommands(bridge, '02:aa', 'mark')).toEqual([...made, ...linkMade]);
    expect(bridgeUpCommands(bridge)).toEqual([...linkUp, ...up]);
    expect(linkInterface(bridge)).toBe(link);
  });

  it('has a MAC of one interface, given by nobody, the same each time, and another on each node', () => {
    const macs = [bridgeMac('n01', 'wba'), bridgeMac('n01', 'wbb'), bridgeMac('n02', 'wba')];
    for (const mac of macs) expect(mac).toMatch(/^02(:[0-9a-f]{2}){5}$/);
    expect(new Set(macs).size).toBe(3);
    expect(new Set(macs[0]?.split(':')).size).toBeGreaterThan(3);
    expect(bridgeMac('n01', 'wba')).toBe(macs[0]);
  });

  it('answers for its own address alone, and its ports for none; neither routes, nor has IPv6', () => {
    const of = (device: string, arpIgnore: string) => [
      [`ipv6/conf/${device}/disable_ipv6`, '1'],
      [`ipv6/conf/${device}/accept_ra`, '0'],
      [`ipv4/conf/${device}/arp_ignore`, arpIgnore],
      [`ipv4/conf/${device}/forwarding`, '0'],
    ];
    expect([bridgeSettings('wbtest'), portSettings('wttest1')]).toEqual([
      of('wbtest', '1'),
      of('wttest1', '8'),
    ]);
  });
});

it('a tap is its user’s and marked, and gets its guest’s route when it is up', () => {
  expect(tapCommands(isolated, 1_000, linkMark('/run/x'))).toEqual([
    'tuntap add dev wttest1 mode tap user 1000',
    'link set dev wttest1 mtu 1450 master wbtest alias workspace-pilot:/run/x',
  ]);
  expect(tapUpCommands(isolated)).toEqual([
    'link set dev wttest1 up',
    'route add 10.91.0.1/32 dev wbtest src 169.254.77.1',
  ]);
});

it('interfaces are those that the kernel tells, without its headings', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo:  126402    1000    0    0    0     0          0         0   126402    1000
wttest1:0 0
  eth0: 12 0
`;
  expect([...parseInterfaceNames(text)]).toEqual(['lo', 'wttest1', 'eth0']);
});

describe('a subnet', () => {
  it.each([
    [0, '0.0.0.0', '0.0.0.0'],
    [1, '128.0.0.0', '128.0.0.0'],
    [7, '202.0.0.0', '254.0.0.0'],
    [8, '203.0.0.0', '255.0.0.0'],
    [9, '203.128.0.0', '255.128.0.0'],
    [20, '203.171.208.0', '255.255.240.0'],
    [24, '203.171.219.0', '255.255.255.0'],
    [31, '203.171.219.86', '255.255.255.254'],
    [32, '203.171.219.87', '255.255.255.255'],
  ])('of %i bits', (prefixLength, network, mask) => {
    expect([networkAddress('203.171.219.87', prefixLength), netmask(prefixLength)]).toEqual([network, mask]);
    expect(isWithin('203.171.219.87', `${network}/${prefixLength}`)).toBe(true);
    expect(isWithin('203.171.219.87', `203.171.219.87/${prefixLength}`)).toBe(true);
    if (prefixLength > 0) expect(isWithin('75.171.219.87', `${network}/${prefixLength}`)).toBe(false);
  });
});
