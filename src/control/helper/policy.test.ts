import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HelperPolicy, PolicyNetwork } from '../../protocol/helper-policy.ts';
import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { readPolicy, requireAllowed, requireNetworks, requirePeers } from './policy.ts';

const network: PolicyNetwork = {
  name: 'private',
  subnet: '10.91.0.0/24',
  first: '10.91.0.10',
  last: '10.91.0.200',
  gateway: '10.91.0.1',
  dns: ['10.0.0.2'],
  serviceAddress: '169.254.77.1',
  link: { kind: 'vxlan', port: 4_789, firstVni: 100, lastVni: 200 },
};
const policy: HelperPolicy = { networks: [network], peers: ['10.1.0.0/16'] };
const peers: VxlanPeer[] = [{ address: '10.1.2.3', macs: [] }];
const link = { kind: 'vxlan' as const, vni: 100, port: 4_789, peers };
const bridge: NicPlan['bridge'] = { name: 'wbtest', link, serviceAddress: '169.254.77.1', mtu: 1_500 };
const nic: NicPlan = {
  network: 'private',
  mac: '02:00:00:00:00:01',
  address: '10.91.0.10',
  prefixLength: 24,
  gateway: '10.91.0.1',
  dns: ['10.0.0.2'],
  tap: 'wttest1',
  bridge,
};
const linked = (more: object): Partial<NicPlan> => ({ bridge: { ...bridge, link: { ...link, ...more } } });

describe("security 2 root's policy on a node", () => {
  it.each<Partial<NicPlan>>([
    {},
    { address: '10.91.0.200' },
    linked({ vni: 200 }),
    linked({ peers: [] }),
    { dns: [] },
  ])('allows what it says, to its bounds: %j', more => {
    requireAllowed(policy, { ...nic, ...more });
  });

  it.each<Partial<NicPlan>>([
    { network: 'public' },
    { address: '10.91.0.9' },
    { address: '10.91.0.201' },
    { address: '10.92.0.10' },
    { prefixLength: 16 },
    { gateway: '10.91.0.2' },
    { dns: ['10.0.0.2', '10.0.0.3'] },
    { bridge: { ...bridge, serviceAddress: '169.254.77.2' } },
    { bridge: { ...bridge, link: { kind: 'isolated' } } },
    { bridge: { ...bridge, link: { kind: 'uplink', interface: 'eth0' } } },
    linked({ port: 4_790 }),
    linked({ vni: 99 }),
    linked({ vni: 201 }),
    linked({ peers: [...peers, { address: '10.2.0.1', macs: [] }] }),
  ])('allows nothing else: %j', more => {
    expect(() => requireAllowed(policy, { ...nic, ...more })).toThrow("root's policy on this node");
  });

  it.each([
    [{ port: 4_790 }, 'the VXLAN port 4790 in network private'],
    [{ vni: 99 }, 'the VNI 99 in network private'],
    [{ peers: [{ address: '10.2.0.1', macs: [] }] }, 'VXLAN traffic to 10.2.0.1 in network private'],
    [{ kind: 'isolated' }, 'network private with the link {"kind":"isolated"'],
  ])('says which part of a VXLAN it does not allow: %j', (more, words) => {
    expect(() => requireAllowed(policy, { ...nic, ...linked(more) })).toThrow(words);
  });

  it('allows nobody the address of a gateway or of a name server, which the whole node speaks to', () => {
    const [gateway, server] = ['10.91.0.20', '10.91.0.21'];
    const other: PolicyNetwork = { ...network, name: 'public', gateway, dns: [server] };
    for (const address of [gateway, server])
      expect(() => requireAllowed({ ...policy, networks: [network, other] }, { ...nic, address })).toThrow(
        `the address ${address}, which is a gateway's or a name server's`,
      );
  });

  it('allows an uplink by its name alone', () => {
    const uplinks: HelperPolicy = {
      ...policy,
      networks: [{ ...network, link: { kind: 'uplink', interface: 'eth1' } }],
    };
    const onto = (name: string): NicPlan => ({
      ...nic,
      bridge: { ...bridge, link: { kind: 'uplink', interface: name } },
    });
    requireAllowed(uplinks, onto('eth1'));
    expect(() => requireAllowed(uplinks, onto('eth0'))).toThrow('"eth0"');
  });

  it('allows peers on nodes of the site alone', () => {
    requirePeers(policy, [{ address: '10.1.255.255', macs: [] }]);
    expect(() => requirePeers(policy, [{ address: '10.2.0.0', macs: [] }])).toThrow('10.2.0.0');
  });
});

it('has the networks of a site, or says which of them it lacks, one that has changed too', () => {
  const has = { ...policy, networks: [network, { ...network, name: 'public' }] };
  requireNetworks(has, [network]);
  requireNetworks(has, []);
  for (const [name, lacking] of [
    ['other', { ...network, name: 'other' }],
    ['private', { ...network, last: '10.91.255.254' }],
  ] as const)
    expect(() => requireNetworks(has, [network, lacking])).toThrow(
      `does not allow network ${name} as the site file has it`,
    );
});

describe.skipIf(process.getuid?.() !== 0)("security 2 the file with root's policy", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'wsp-policy-'));
    path = join(directory, 'policy.json');
    writeFileSync(path, JSON.stringify(policy));
    chmodSync(path, 0o644);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('is believed when only root can change it', () => {
    expect(readPolicy(path)).toEqual(policy);
  });

  it.each([0o664, 0o646, 0o620])('is not when its mode is %o', mode => {
    chmodSync(path, mode);
    expect(() => readPolicy(path)).toThrow('can be changed by others than root');
  });

  it('is not when it is another user’s, and says where it belongs when it is not there', () => {
    chownSync(path, 1_000, 0);
    expect(() => readPolicy(path)).toThrow('can be changed by others than root');
    rmSync(path);
    expect(() => readPolicy(path)).toThrow('there is no policy');
  });
});
