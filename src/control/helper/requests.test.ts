import { describe, expect, it } from 'vitest';
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
