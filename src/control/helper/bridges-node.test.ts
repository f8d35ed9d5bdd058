import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImitatedNode, nicOf } from '../../../test/support/imitated-node.ts';
import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { dnsmasqArguments } from '../network/dhcp.ts';
import { bridgeRules, deleteRulesOf, peerRules } from '../network/filter.ts';
import {
  bridgeCommands,
  bridgeMac,
  bridgeSettings,
  bridgeUpCommands,
  portSettings,
} from '../network/bridge.ts';
import { startTimeOf } from './proc.ts';

/** Bridges of an imitated node, from their first VM to their last. */

const interfaces = vi.hoisted(() => new Set<string>());
vi.mock('../network/interfaces.ts', () => ({ interfaceNames: () => new Set(interfaces) }));

const peers: VxlanPeer[] = [{ address: '10.1.0.2', macs: ['02:00:00:00:00:09'] }];
const vxlan = { kind: 'vxlan', vni: 7, port: 4_789, peers } as const;
const uplink = { kind: 'uplink', interface: 'eth1' } as const;
const key = { slotId: 'slot-aaaaaaaaaa', uid: 1_000 };
const other = { slotId: 'slot-aaaaaaaaab', uid: 1_000 };

let node: ImitatedNode;
let directory: string;
beforeEach(() => {
  node = new ImitatedNode(interfaces);
  directory = join(node.at.bridges, 'wbtest');
});
afterEach(() => node.remove());

const join_ = (nic: NicPlan, by = key): Promise<void> => node.bridges.join(nic, `vm-${nic.address}`, by);
const record = (): object => JSON.parse(readFileSync(join(directory, 'record'), 'utf8')) as object;
const linesOf = (...texts: readonly string[]): string[] =>
  texts.flatMap(text => text.split('\n')).filter(line => line !== '');
const made = (nic: NicPlan): string[] =>
  linesOf('ip -batch -', ...bridgeCommands(nic.bridge, bridgeMac('n01', 'wbtest'), node.at.mark), 'nft -f -');
const up = (nic: NicPlan, isReadableByAll = false): string[] => {
  const files = { hosts: join(directory, 'hosts'), pid: node.at.dhcpPidOf('wbtest') };
  const dnsmasq = dnsmasqArguments(nic, { ...files, readableByAll: isReadableByAll });
  return ['ip -batch -', ...bridgeUpCommands(nic.bridge), dnsmasq.join(' ')];
};
const forwarding = (given: readonly VxlanPeer[]): string[] => [
  ...linesOf('nft -f -', peerRules('wbtest', given)),
  'bridge -json fdb show dev wbtestx',
  ...(given.length === 0 ? [] : ['bridge -batch -']),
  ...given.flatMap(({ address, macs }) => [
    `fdb append 00:00:00:00:00:00 dev wbtestx dst ${address} self permanent`,
    ...macs.flatMap(mac => [
      `fdb append ${mac} dev wbtestx dst ${address} self permanent`,
      `fdb append ${mac} dev wbtestx master static`,
    ]),
  ]),
];

const common = { uid: 1_000, subnet: '10.91.0.0/24', serviceAddress: '169.254.77.1', complete: true };

describe('a bridge that its first VM makes', () => {
  it('is up when its rules are there, and is recorded as what it is', async () => {
    const nic = nicOf(1);
    const settings: unknown[] = [];
    node.tools.set = each => settings.push(...each);
    await join_(nic);
    expect(node.taken()).toEqual([...made(nic), ...linesOf(bridgeRules(nic, undefined)), ...up(nic)]);
    expect(settings).toEqual(bridgeSettings('wbtest'));
    expect(record()).toEqual({ ...common, link: 'isolated' });
    const member = { slot: 'slot-aaaaaaaaaa.1000', address: '10.91.0.1', mac: nic.mac };
    expect(node.bridges.members('wbtest')).toEqual([{ tap: 'wttest1', ...member }]);
    expect(node.bridges.memberOf('wbtest', 'wttest1')).toEqual(member);
    expect(node.bridges.memberOf('wbtest', 'wttest2')).toBeUndefined();
    expect(readFileSync(join(directory, 'hosts/wttest1'), 'utf8')).toBe(
      '02:00:00:00:00:01,10.91.0.1,vm-10.91.0.1,infinite\n',
    );
  });

  it('lets nobody but root see who is on it, and its DHCP service what it is to serve', async () => {
    await join_(nicOf(1));
    const modes = ['..', '.', 'members', 'members/wttest1', 'hosts', 'hosts/wttest1', 'record'].map(
      part => statSync(join(directory, part)).mode & 0o777,
    );
    expect(modes).toEqual([0o711, 0o711, 0o700, 0o600, 0o755, 0o644, 0o600]);
  });

  it('has its DHCP service run as nobody where nobody can read what it serves', async () => {
    chmodSync(node.place, 0o711);
    await join_(nicOf(1));
    expect(node.taken().slice(-1)).toEqual(up(nicOf(1), true).slice(-1));
  });

  it('sends to its peers before it is up, when it is a VXLAN', async () => {
    const nic = nicOf(1, vxlan);
    const settings: unknown[] = [];
    node.tools.set = each => settings.push(...each);
    await join_(nic);
    expect(node.taken()).toEqual([
      ...made(nic),
      ...linesOf(bridgeRules(nic, 'wbtestx')),
      ...forwarding(peers),
      ...up(nic),
    ]);
    expect(settings).toEqual([...bridgeSettings('wbtest'), ...portSettings('wbtestx')]);
    expect(record()).toEqual({ ...common, link: 'vxlan 7 port 4789', peers });
  });

  it.each([true, false])('takes the site’s interface, and remembers whether it was up: %s', async isUp => {
    node.shown.set('eth1', { flags: isUp ? ['BROADCAST', 'UP'] : ['BROADCAST'] });
    const nic = nicOf(1, uplink);
    await join_(nic);
    expect(node.taken()).toEqual([
      'ip -json address show',
      ...made(nic),
      ...linesOf(bridgeRules(nic, 'eth1')),
      ...up(nic),
    ]);
    expect(record()).toEqual({ ...common, link: 'uplink eth1', uplink: 'eth1', uplinkWasUp: isUp });
  });

  it.each<[string, string, object]>([
    ['is not there', 'uplink_missing', {}],
    ['is in another bridge', 'uplink_busy', { master: 'br0' }],
    ['has an address', 'uplink_in_use', { addr_info: [{ local: '10.0.0.1', scope: 'global' }] }],
  ])('does not take the site’s interface when that %s', async (what, code, shown) => {
    if (what === 'is not there') interfaces.delete('eth1');
    node.shown.set('eth1', shown);
    await expect(join_(nicOf(1, uplink))).rejects.toMatchObject({ code });
    expect([node.taken(), existsSync(join(directory, 'record'))]).toEqual([['ip -json address show'], false]);
  });

  it('takes the site’s interface with the addresses that the kernel gives to each', async () => {
    node.shown.set('eth1', { addr_info: [{ local: 'fe80::1', scope: 'link' }] });
    await join_(nicOf(1, uplink));
    expect(interfaces.has('wbtest')).toBe(true);
  });
});

describe('a bridge to which another VM comes', () => {
  it('stays as it is, with its DHCP service', async () => {
    await join_(nicOf(1, vxlan));
    node.taken();
    await join_(nicOf(2, vxlan), other);
    expect(node.taken()).toEqual([]);
    expect(node.bridges.members('wbtest').map(({ tap, slot }) => [tap, slot])).toEqual([
      ['wttest1', 'slot-aaaaaaaaaa.1000'],
      ['wttest2', 'slot-aaaaaaaaab.1000'],
    ]);
    expect(readdirSync(join(directory, 'hosts'))).toEqual(['wttest1', 'wttest2']);
  });

  it('sends to the peers that the newcomer knows of', async () => {
    await join_(nicOf(1, vxlan));
    node.taken();
    const more = [...peers, { address: '10.1.0.3', macs: [] }];
    await join_(nicOf(2, { ...vxlan, peers: more }));
    expect(node.taken()).toEqual(forwarding(more));
    expect(record()).toMatchObject({ peers: more });
  });

  it('gets a DHCP service when its own has died', async () => {
    await join_(nicOf(1));
    const pid = Number(readFileSync(node.at.dhcpPidOf('wbtest'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => startTimeOf(pid)).toBeUndefined();
    node.taken();
    await join_(nicOf(2));
    expect(node.taken()).toEqual(up(nicOf(2)).slice(-1));
  });

  it('gets a DHCP service when the pid of its own is another program’s by now', async () => {
    await join_(nicOf(1));
    writeFileSync(node.at.dhcpPidOf('wbtest'), String(process.pid));
    node.taken();
    await join_(nicOf(2));
    expect(node.taken()).toHaveLength(1);
  });

  it.each<[string, () => void]>([
    ['somebody has removed it', () => void interfaces.delete('wbtest')],
    ['it is half made', () => writeFileSync(join(directory, 'record'), JSON.stringify({ complete: false }))],
  ])('is made anew when %s, and what is left of it taken away before', async (_, spoil) => {
    await join_(nicOf(1, vxlan));
    const pid = Number(readFileSync(node.at.dhcpPidOf('wbtest'), 'utf8'));
    spoil();
    const there = ['wbtestx', 'wbtest'].filter(name => interfaces.has(name));
    node.taken();
    await join_(nicOf(2, vxlan));
    expect(node.taken()).toEqual([
      'ip -batch -',
      ...there.map(name => `link del dev ${name}`),
      ...linesOf('nft -f -', deleteRulesOf('wbtest')),
      ...made(nicOf(2, vxlan)),
      ...linesOf(bridgeRules(nicOf(2, vxlan), 'wbtestx')),
      ...forwarding(peers),
      ...up(nicOf(2, vxlan)),
    ]);
    expect(startTimeOf(pid)).toBeUndefined();
    expect(record()).toMatchObject({ complete: true });
  });
});

describe('the peers of a bridge', () => {
  const none: VxlanPeer[] = [];

  it('are changed for a slot that has a tap on it, and once', async () => {
    await join_(nicOf(1, vxlan));
    node.taken();
    await node.bridges.setPeers('wbtest', none, key);
    await node.bridges.setPeers('wbtest', none, key);
    expect(node.taken()).toEqual(forwarding(none));
    expect(record()).toEqual({ ...common, link: 'vxlan 7 port 4789', peers: none });
  });

  it('are no other slot’s to change', async () => {
    await join_(nicOf(1, vxlan));
    for (const by of [other, { ...key, uid: 1_001 }])
      await expect(node.bridges.setPeers('wbtest', none, by)).rejects.toMatchObject({ code: 'not_yours' });
    expect(record()).toMatchObject({ peers });
    await join_(nicOf(2, vxlan), other);
    await node.bridges.setPeers('wbtest', none, other);
    expect(record()).toMatchObject({ peers: none });
  });

  it('are nobody’s of a bridge that is not there, or half made: it gets them when it is', async () => {
    await node.bridges.setPeers('wbtest', none, key);
    await join_(nicOf(1, vxlan));
    node.taken();
    writeFileSync(join(directory, 'record'), JSON.stringify({ ...record(), complete: false }));
    await node.bridges.setPeers('wbtest', none, other);
    expect(node.taken()).toEqual([]);
  });

  it('are given again when it is not known which of them it has', async () => {
    await join_(nicOf(1, vxlan));
    node.failsAt = 'fdb show';
    await expect(node.bridges.setPeers('wbtest', none, key)).rejects.toMatchObject({
      code: 'node_tool_failed',
    });
    expect(record()).not.toHaveProperty('peers');
    node.failsAt = undefined;
    node.taken();
    await node.bridges.setPeers('wbtest', peers, key);
    expect(node.taken()).toEqual(forwarding(peers));
  });
});

describe('a bridge that its VMs leave', () => {
  it('goes with the last one: its link, its rules, its DHCP service, its files', async () => {
    await join_(nicOf(1, vxlan));
    await join_(nicOf(2, vxlan));
    const pid = Number(readFileSync(node.at.dhcpPidOf('wbtest'), 'utf8'));
    node.taken();
    // What it was told by a signal ends the one that stands for dnsmasq.
    await node.bridges.leave('wbtest', ['wttest1']);
    expect([node.taken(), readdirSync(join(directory, 'hosts'))]).toEqual([[], ['wttest2']]);
    await node.bridges.leave('wbtest', ['wttest2']);
    expect(node.taken()).toEqual([
      ...['ip -batch -', 'link del dev wbtestx', 'link del dev wbtest'],
      ...linesOf('nft -f -', deleteRulesOf('wbtest')),
    ]);
    expect(startTimeOf(pid)).toBeUndefined();
    expect([node.bridges.names(), [...interfaces], [...node.tables]]).toEqual([[], ['lo', 'eth1'], []]);
  });

  it('has its DHCP service ended, however that was started', async () => {
    await join_(nicOf(1));
    const pid = Number(readFileSync(node.at.dhcpPidOf('wbtest'), 'utf8'));
    await node.bridges.leave('wbtest', ['wttest1']);
    expect(startTimeOf(pid)).toBeUndefined();
  });

  it('does not mind what was never there', async () => {
    await node.bridges.leave('wbtest', ['wttest1']);
    await join_(nicOf(1));
    node.taken();
    await node.bridges.leave('wbtest', ['wttest9']);
    expect([node.taken(), node.bridges.members('wbtest').length]).toEqual([[], 1]);
  });

  it('gives back the site’s interface as it was, when that is still there', async () => {
    for (const [isThere, downs] of [
      [true, ['link set dev eth1 down']],
      [false, []],
    ] as const) {
      interfaces.add('eth1');
      node.shown.set('eth1', { flags: [] });
      await join_(nicOf(1, uplink));
      if (!isThere) interfaces.delete('eth1');
      node.taken();
      await node.bridges.leave('wbtest', ['wttest1']);
      expect(node.taken().slice(0, -7)).toEqual(['ip -batch -', 'link del dev wbtest', ...downs]);
    }
  });
});

describe('an interface that is asked for', () => {
  const refusal = (nic: NicPlan, uid = 1_000): unknown => {
    try {
      node.bridges.check(nic, uid);
      return undefined;
    } catch (cause) {
      return (cause as { readonly code?: unknown }).code;
    }
  };

  it('is refused when there is one of that name already, and nobody knows whose', () => {
    interfaces.add('wttest1');
    expect(refusal(nicOf(1))).toBe('tap_in_use');
    interfaces.add('wbtest');
    expect(refusal(nicOf(2))).toBe('bridge_foreign');
  });

  it('comes to a bridge of its own user’s, and to no other’s, whether that is whole or half made', async () => {
    await join_(nicOf(1, vxlan));
    for (const complete of [true, false]) {
      writeFileSync(join(directory, 'record'), JSON.stringify({ ...record(), complete }));
      expect([refusal(nicOf(2, vxlan)), refusal(nicOf(2, vxlan), 1_001)]).toEqual([
        undefined,
        'bridge_foreign',
      ]);
      expect(refusal(nicOf(2, uplink), 1_001)).toBe('bridge_foreign');
    }
  });

  it('comes to the site’s network, whoever was the first there', async () => {
    await join_(nicOf(1, uplink));
    expect(refusal(nicOf(2, uplink), 1_001)).toBeUndefined();
    expect(refusal(nicOf(2, vxlan), 1_001)).toBe('bridge_foreign');
    expect(refusal(nicOf(2, { ...uplink, interface: 'eth2' }), 1_001)).toBe('bridge_conflict');
  });

  it.each<[string, Partial<NicPlan>, Partial<NicPlan['bridge']>]>([
    ['link', {}, { link: { ...vxlan, vni: 8 } }],
    ['link', {}, { link: { ...vxlan, port: 4_790 } }],
    ['link', {}, { link: { kind: 'isolated' } }],
    ['subnet', { prefixLength: 16 }, {}],
    ['subnet', { address: '10.91.1.2' }, {}],
    ['serviceAddress', {}, { serviceAddress: '169.254.77.2' }],
  ])('is refused when the bridge has another %s, until it is made anew', async (what, more, bridge) => {
    await join_(nicOf(1, vxlan));
    const nic = nicOf(2, vxlan);
    const asked = { ...nic, ...more, bridge: { ...nic.bridge, ...bridge } };
    expect(() => node.bridges.check(asked, 1_000)).toThrow(`has ${what} `);
    expect(refusal(asked)).toBe('bridge_conflict');
    writeFileSync(join(directory, 'record'), JSON.stringify({ ...record(), complete: false }));
    expect(refusal(asked)).toBeUndefined();
  });

  it('may differ from the others in its gateway, its name servers and its MTU', async () => {
    await join_(nicOf(1));
    const nic = nicOf(2);
    const asked = {
      ...nic,
      gateway: '10.91.0.254',
      dns: ['10.0.0.2'],
      bridge: { ...nic.bridge, mtu: 1_400 },
    };
    expect(refusal(asked)).toBeUndefined();
  });

  it('is not held up by one of which a crash has left half a note', () => {
    mkdirSync(join(directory, 'members'), { recursive: true });
    writeFileSync(join(directory, 'members/wttest1'), '{"slot":"slo');
    expect(node.bridges.memberOf('wbtest', 'wttest1')).toEqual({ slot: '', address: '', mac: '' });
    expect([refusal(nicOf(1)), refusal(nicOf(2))]).toEqual(['tap_in_use', undefined]);
    rmSync(join(directory, 'members/wttest1'));
    expect(refusal(nicOf(1))).toBeUndefined();
  });
});
