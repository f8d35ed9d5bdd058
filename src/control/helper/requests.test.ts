import { describe, expect, it } from 'vitest';
import { nicPolicy } from '../../../test/support/node.ts';
import { BadRequest, parseRequest } from './requests.ts';

/**
 * What an ordinary user's process may ask of root: everything else is refused before anything is
 * done.
 */

const nic = {
  network: 'private',
  mac: '52:54:0a:5a:00:01',
  address: '10.90.0.1',
  prefixLength: 16,
  dns: ['10.0.0.2'],
  tap: 'wt0a5a0001',
  bridge: {
    name: 'wb739bfdcd',
    link: { kind: 'isolated' },
    serviceAddress: '169.254.101.1',
    mtu: 1_450,
  },
};
const parsed = (request: object) => parseRequest(JSON.stringify({ id: 7, ...request }));
const attach = (more: object, bridge: object = {}) =>
  parsed({
    op: 'attach-nic',
    hostname: 'a-0',
    nic: { ...nic, ...more, bridge: { ...nic.bridge, ...bridge } },
  });

describe('a request of the helper', () => {
  it('is what it says', () => {
    expect(attach({})).toEqual({ id: 7, op: 'attach-nic', hostname: 'a-0', nic });
    expect(parsed({ op: 'detach-nic', tap: 'wt1' })).toEqual({ id: 7, op: 'detach-nic', tap: 'wt1' });
    expect(parsed({ op: 'adopt-process', pid: 2 })).toEqual({ id: 7, op: 'adopt-process', pid: 2 });
    expect(parsed({ op: 'adopt-directory', path: '/a/b/c' })).toMatchObject({ path: '/a/b/c' });
    expect(parsed({ op: 'check-networks', networks: [nicPolicy] })).toEqual({
      id: 7,
      op: 'check-networks',
      networks: [nicPolicy],
    });
    expect(parsed({ op: 'undo' })).toEqual({ id: 7, op: 'undo' });
  });

  it.each(['/a/b/../c', '/a/b//c', '/a/b/./c', '/a/b', 'a/b/c/d', '/', '/a/b/c\n', '/a/b/c/', ''])(
    'records no directory %j',
    path => {
      expect(() => parsed({ op: 'adopt-directory', path })).toThrow(BadRequest);
    },
  );

  it.each([1, 0, -1, 1.5, 2 ** 22 + 1, '7', null])('records no process %j', pid => {
    expect(() => parsed({ op: 'adopt-process', pid })).toThrow(BadRequest);
  });

  it.each([
    ['a multicast MAC', { mac: '53:54:0a:5a:00:01' }],
    ['a MAC that is none', { mac: '52:54:0a:5a:00' }],
    ['an octet with a zero before it', { address: '10.090.0.1' }],
    ['an octet that is none', { address: '10.256.0.1' }],
    ['a group address', { address: '224.0.0.1' }],
    ['a reserved address', { address: '240.0.0.1' }],
    ['everybody', { address: '255.255.255.255' }],
    ['this host', { address: '127.0.0.1' }],
    ['no host', { address: '0.0.0.0' }],
    ['a link-local address', { address: '169.254.1.1' }],
    ['a gateway that is no host', { gateway: '127.0.0.1' }],
    ['a prefix that is none', { prefixLength: 33 }],
    ['five name servers', { dns: Array(5).fill('10.0.0.2') }],
    ['another’s interface', { tap: 'eth0' }],
    ['a name that the kernel would cut', { tap: `wt${'a'.repeat(14)}` }],
    ['a key that is not known', { script: 'x' }],
  ])('attaches nothing with %s', (_what, more) => {
    expect(() => attach(more)).toThrow(BadRequest);
  });

  it.each([
    ['another’s bridge', { name: 'br0' }],
    ['security 12: the name of another bridge’s VXLAN', { name: 'wb739bfdcx' }],
    ['a service address that is not link-local', { serviceAddress: '10.0.0.1' }],
    ['an MTU that no link has', { mtu: 575 }],
    ['a link that is not known', { link: { kind: 'host' } }],
    ['an uplink that is no interface', { link: { kind: 'uplink', interface: 'a b' } }],
    ['a peer that is no host', { link: { kind: 'vxlan', vni: 1, port: 4_789, peers: ['239.0.0.1'] } }],
    ['no VXLAN number', { link: { kind: 'vxlan', vni: 0, port: 4_789, peers: [] } }],
  ])('makes no bridge with %s', (_what, bridge) => {
    expect(() => attach({}, bridge)).toThrow(BadRequest);
  });

  it('security 25 is looked at before it is parsed, and refused in few words', () => {
    for (const line of [
      '['.repeat(200_000),
      `{"id":1,"op":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
      JSON.stringify({ id: 1, op: 'x'.repeat(200_000) }),
      JSON.stringify({ id: 'x'.repeat(200_000) }),
    ])
      expect(() => parseRequest(line)).toThrow(/^(?!.*call stack).{1,500}$/s);
  });

  const link = { kind: 'vxlan', vni: 1, port: 4_789, peers: [] };
  const linked = (more: object) => attach({}, { link: { ...link, ...more } });

  it('may be anything to its bounds', () => {
    for (const [more, bridge] of [
      [{ prefixLength: 1 }, { mtu: 576 }],
      [{ prefixLength: 32 }, { mtu: 9_216 }],
      [{ gateway: '10.90.0.254', dns: Array(4).fill('127.0.0.53') }, { name: 'wb1' }],
      [{ tap: `wt${'a'.repeat(13)}` }, { name: `wb${'x'.repeat(11)}a` }],
      [{ address: '223.255.255.254' }, { link: { kind: 'uplink', interface: 'eth1' } }],
      [{}, { link: { ...link, vni: 16_777_215, port: 65_535 } }],
      [{}, { link: { ...link, port: 1 } }],
    ] as const)
      expect(attach(more, bridge)).toMatchObject({
        nic: { ...nic, ...more, bridge: { ...nic.bridge, ...bridge } },
      });
    expect(parsed({ op: 'adopt-process', pid: 2 ** 22 })).toMatchObject({ pid: 4_194_304 });
    const path = `/a/b/${'c'.repeat(996)}`;
    expect(parsed({ op: 'adopt-directory', path })).toMatchObject({ path });
    expect(() => parsed({ op: 'adopt-directory', path: `${path}c` })).toThrow(BadRequest);
    expect(parseRequest(`{"id":${Number.MAX_SAFE_INTEGER},"op":"undo"}`)).toMatchObject({
      id: Number.MAX_SAFE_INTEGER,
    });
    expect(() => parseRequest(`{"id":${2 ** 53},"op":"undo"}`)).toThrow(BadRequest);
  });

  it.each([
    ['no prefix at all', { prefixLength: 0 }],
    ['a prefix that is no number', { prefixLength: '16' }],
    ['a name server that is none', { dns: ['10.0.0.2', 'one.one.one.one'] }],
    ['name servers that are no list', { dns: { length: 1 } }],
    ['a network that is no name', { network: 'A b' }],
    ['a tap with more after its name', { tap: 'wt1\n' }],
    ['a tap with more before its name', { tap: 'xwt1' }],
    ['a tap that is only a prefix', { tap: 'wt' }],
    ['a bridge’s name for its tap', { tap: 'wb1' }],
    ['a group of multicast', { address: '239.255.255.255' }],
    ['an address of 10.90.0.0.1', { address: '10.90.0.0.1' }],
    ['a bridge that is none', { bridge: 'wb1' }],
  ])('attaches nothing with %s, either', (_what, more) => {
    expect(() => parsed({ op: 'attach-nic', hostname: 'a-0', nic: { ...nic, ...more } })).toThrow(BadRequest);
  });

  it.each([
    { name: 'wb' },
    { name: `wb${'a'.repeat(13)}` },
    { name: 'xwb1' },
    { name: 'wb1\n' },
    { mtu: 9_217 },
    { mtu: 1_450.5 },
    { serviceAddress: '169.25.4.1' },
    { serviceAddress: '169.254.1' },
    { link: { kind: 'isolated', vni: 1 } },
    { link: { kind: 'uplink' } },
    { link: { kind: 'uplink', interface: 'eth1', vni: 1 } },
    { link: null },
    { ageing: 1 },
  ])('makes no bridge with %j', bridge => {
    expect(() => attach({}, bridge)).toThrow(BadRequest);
  });

  it.each([
    { vni: 16_777_216 },
    { vni: -1 },
    { port: 0 },
    { port: 65_536 },
    { peers: undefined },
    { peers: Array.from({ length: 4_097 }, () => ({ address: '10.1.0.1', macs: [] })) },
    { local: '10.1.0.1' },
  ])('makes no VXLAN with %j', more => {
    expect(() => linked(more)).toThrow(BadRequest);
  });

  const peers = [{ address: '10.1.0.1', macs: ['02:00:00:00:00:01'] }];
  const setPeers = (more: object) => parsed({ op: 'set-peers', bridge: 'wb1', peers, ...more });

  it('gives a VXLAN peers, with what they have', () => {
    expect(setPeers({})).toEqual({ id: 7, op: 'set-peers', bridge: 'wb1', peers });
    expect(linked({ peers })).toMatchObject({ nic: { bridge: { link: { ...link, peers } } } });
    const many = Array(4_096).fill(peers[0]);
    expect(setPeers({ peers: many })).toMatchObject({ peers: many });
  });

  it.each([
    { bridge: 'eth0' },
    { bridge: 'wb1x' },
    { peers: [{ address: '127.0.0.1', macs: [] }] },
    { peers: [{ address: '10.1.0.1' }] },
    { peers: [{ macs: [] }] },
    { peers: [{ address: '10.1.0.1', macs: ['03:00:00:00:00:01'] }] },
    { peers: [{ address: '10.1.0.1', macs: ['02:00:00:00:00:01 x'] }] },
    { peers: [{ address: '10.1.0.1', macs: Array(4_097).fill('02:00:00:00:00:01') }] },
    { peers: [{ address: '10.1.0.1', macs: [], port: 1 }] },
    { peers: ['10.1.0.1'] },
    { peers: [null] },
    { nic: 1 },
  ])('gives no VXLAN the peers of %j', more => {
    expect(() => setPeers(more)).toThrow(BadRequest);
  });

  it.each([
    [{ op: 'detach-nic', tap: 'eth0' }],
    [{ op: 'detach-nic' }],
    [{ op: 'detach-nic', tap: 'wt1', x: 1 }],
    [{ op: 'adopt-process', pid: 2, x: 1 }],
    [{ op: 'adopt-directory', path: '/a/b/c', x: 1 }],
    [{ op: 'adopt-directory', path: '/a/b/c\0' }],
    [{ op: 'check-networks' }],
    [{ op: 'check-networks', networks: [nicPolicy], x: 1 }],
    [{ op: 'check-networks', networks: [{ ...nicPolicy, x: 1 }] }],
    [{ op: 'check-networks', networks: [{ ...nicPolicy, first: '10.91.0' }] }],
    [{ op: 'attach-nic', hostname: 'a-0', nic, x: 1 }],
    [{ op: 'attach-nic', hostname: 'a b', nic }],
    [{ op: 'attach-nic', hostname: 'a-0', nic: [nic] }],
  ])('is none: %j', request => {
    expect(() => parsed(request)).toThrow(BadRequest);
  });

  it('that is refused is told by its id, where it has one that could be read', () => {
    const idOf = (line: string): unknown => {
      try {
        return parseRequest(line);
      } catch (cause) {
        return cause instanceof BadRequest ? cause.id : cause;
      }
    };
    expect(['{"id":7,"op":"run"}', '{"id":0,"op":"undo"}', '{"id":"7"}', '{', '7'].map(idOf)).toEqual([
      7, -1, -1, -1, -1,
    ]);
  });

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"op":"undo"}',
    '{"id":0,"op":"undo"}',
    '{"id":1,"op":"run"}',
    '{"id":1,"op":"undo","x":1}',
  ])('is none: %s', line => {
    expect(() => parseRequest(line)).toThrow(BadRequest);
  });
});
