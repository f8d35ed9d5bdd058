import { describe, expect, it } from 'vitest';
import { parseHelperPolicy, policyWords } from './policy-document.ts';

const network = {
  name: 'private',
  subnet: '10.91.0.0/24',
  first: '10.91.0.10',
  last: '10.91.0.200',
  dns: ['10.0.0.2'],
  serviceAddress: '169.254.77.1',
  link: { kind: 'vxlan', port: 4_789, firstVni: 1, lastVni: 16_777_215 },
};
const parsed = (more: object, link: object = {}) =>
  parseHelperPolicy({
    networks: [{ ...network, ...more, link: { ...network.link, ...link } }],
    peers: ['10.1.0.0/16'],
  });

describe("a policy of the helper's", () => {
  it('is what its document says', () => {
    expect(parsed({})).toEqual({ networks: [network], peers: ['10.1.0.0/16'] });
  });

  it.each([
    ['networks[0] has a key', { netmask: '255.0.0.0' }],
    ['networks[0].name', { name: '' }],
    ['networks[0].name', { name: 'n'.repeat(101) }],
    ['networks[0].subnet', { subnet: '10.91.0.0' }],
    ['networks[0].subnet', { subnet: '10.91.0.0/0' }],
    ['networks[0].subnet', { subnet: '10.91.0.0/33' }],
    ['networks[0].first', { first: '10.91.0.010' }],
    ['networks[0].last', { last: '10.91.0.256' }],
    ['networks[0].gateway', { gateway: null }],
    ['networks[0].dns', { dns: '10.0.0.2' }],
  ])('is refused for %s: %j', (where, more) => {
    expect(() => parsed(more)).toThrow(where);
  });

  it.each([
    ['link.kind', { kind: 'bridge' }],
    ['link.port', { port: 0 }],
    ['link.port', { port: 65_536 }],
    ['link.firstVni', { firstVni: 0 }],
    ['link.firstVni', { firstVni: 1.5 }],
    ['link.lastVni', { lastVni: 16_777_216 }],
    ['link.lastVni', { lastVni: '200' }],
    ['link has a key', { vni: 100 }],
    ['link has a key "port"', { kind: 'isolated' }],
    ['link has a key "port"', { kind: 'uplink', interface: 'eth1' }],
  ])('is refused for %s: %j', (where, link) => {
    expect(() => parsed({}, link)).toThrow(where);
  });

  it.each(['', 'eth1 up', 'eth1\n', 'e'.repeat(16), 7, undefined])('has no uplink %j', name => {
    const link = { kind: 'uplink', interface: name };
    expect(() => parseHelperPolicy({ networks: [{ ...network, link }], peers: [] })).toThrow(
      'networks[0].link.interface must be the name of a network interface',
    );
  });

  it('is told in a sentence for each network, and for where VXLANs reach', () => {
    const links = [{ kind: 'uplink', interface: 'eth1' }, network.link, { kind: 'isolated' }];
    const networks = links.map((link, index) => ({ ...network, name: `n${index}`, link }));
    const of = (index: number) => `network n${index}: VMs with the addresses 10.91.0.10 to 10.91.0.200`;
    expect(policyWords({ networks, peers: ['10.1.0.0/16'] })).toEqual([
      `${of(0)}, bridged to eth1`,
      `${of(1)}, in VXLANs 1 to 16777215 on port 4789`,
      `${of(2)}, on this node alone`,
      'VXLANs reach nodes in 10.1.0.0/16',
    ]);
    expect(policyWords({ networks: [], peers: [] })).toEqual(['no network']);
  });
});
