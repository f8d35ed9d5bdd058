import { describe, expect, it, vi } from 'vitest';
import { type LookUp, guardedLookup, isForbidden, literalAddress } from './addresses.ts';

vi.mock('node:os', async original => ({
  ...(await original<typeof import('node:os')>()),
  networkInterfaces: () => ({ eth0: [{ address: '203.8.9.1' }, { address: '2a01:4f8::1' }] }),
}));

describe('where webhooks may go', () => {
  it.each([
    '127.0.0.1',
    '127.8.9.1',
    '0.0.0.0',
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    '192.0.0.192',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00:ec2::254',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    'localhost',
    '',
  ])('not to %s', address => {
    expect(isForbidden(address, [])).toBe(true);
  });

  it.each([
    '8.8.8.8',
    '2001:4860:4860::8888',
    // The same by NAT64, 6to4 and Teredo.
    '64:ff9b::8.8.8.8',
    '2002:808:808::1',
    '2001:0:808:808::f7f7:f7f7',
  ])('but to %s', address => {
    expect(isForbidden(address, [])).toBe(false);
  });

  it.each([
    ['private', '10.0.0.1'],
    ['private', '172.16.3.4'],
    ['private', '192.168.1.1'],
    ['shared (RFC 6598)', '100.64.0.1'],
    ['shared (RFC 6598)', '100.127.255.254'],
    ['unique local', 'fd12::1'],
    ['site local', 'fec0::1'],
    ['of no one yet', '4000::1'],
    ['a metadata service', '168.63.129.16'],
    ['IPv4-compatible', '::127.0.0.1'],
    ['IPv4-compatible', '::7f00:1'],
    ['IPv4-mapped', '::ffff:10.0.0.1'],
    ['IPv4-translated', '::ffff:0:127.0.0.1'],
    ['NAT64', '64:ff9b::127.0.0.1'],
    ['NAT64', '64:ff9b::a9fe:a9fe'],
    ['NAT64 of the site', '64:ff9b:1::8.8.8.8'],
    ['6to4', '2002:7f00:1::1'],
    ['6to4', '2002:a9fe:a9fe::'],
    ['Teredo, its server', '2001:0:7f00:1::f7f7:f7f7'],
    ['Teredo, its client', '2001:0:808:808::80ff:fffe'],
    ['ISATAP', '2001:4860::5efe:10.0.0.1'],
    ['ISATAP', '2001:4860::200:5efe:127.0.0.1'],
  ])('security 17: not to what is %s, %s', (_what, address) => {
    expect(isForbidden(address, [])).toBe(true);
  });

  it('security 17: not to an address of the host itself, a public one too, by whatever way', () => {
    expect(isForbidden('203.8.9.1', [])).toBe(true);
    expect(isForbidden('64:ff9b::203.8.9.1', [])).toBe(true);
    expect(isForbidden('2a01:4f8::1', [])).toBe(true);
    expect(isForbidden('203.8.9.2', [])).toBe(false);
    expect(isForbidden('203.8.9.1', ['203.8.9.0/24'])).toBe(false);
  });

  it('security 17: and what is inside of an address is open where the site opens it', () => {
    expect(isForbidden('64:ff9b::10.0.0.1', ['10.0.0.0/8'])).toBe(false);
    expect(isForbidden('2001:0:a00:1::f7f7:f7f7', ['10.0.0.0/8'])).toBe(false);
    expect(isForbidden('64:ff9b:1::10.0.0.1', ['64:ff9b:1::/48'])).toBe(false);
  });

  it('and where the site opens it', () => {
    expect(isForbidden('127.0.0.1', ['127.0.0.1/32'])).toBe(false);
    expect(isForbidden('127.0.0.2', ['127.0.0.1/32', '::1/128'])).toBe(true);
    expect(isForbidden('::1', ['127.0.0.0/8', '::1/128'])).toBe(false);
  });

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    // The URL parser has made decimals of them by then.
    [new URL('http://0x7f.1/').hostname, '127.0.0.1'],
    [new URL('http://2130706433/').hostname, '127.0.0.1'],
    [new URL('http://017700000001/').hostname, '127.0.0.1'],
    [new URL('http://127.1./').hostname, '127.0.0.1'],
    [new URL('http://①②⑦.0.0.1/').hostname, '127.0.0.1'],
    [new URL('http://[::127.0.0.1]/').hostname, '::7f00:1'],
    ['[::1]', '::1'],
    ['hooks.example', undefined],
  ])('%s is an address or a name', (hostname, address) => {
    expect(literalAddress(hostname)).toBe(address);
  });

  it('is checked on what a name means when it is connected to', async () => {
    const meaning = (allowed: readonly string[]) =>
      new Promise<string>(resolve => {
        guardedLookup(allowed)('localhost', {}, (failure, address) =>
          resolve(failure?.name ?? String(address)),
        );
      });
    expect(await meaning([])).toBe('ForbiddenAddressError');
    expect(await meaning(['127.0.0.0/8', '::1/128'])).toMatch(/^(127\.|::1)/);
  });

  it('security 17: a name that means another address at the next moment is looked at then', async () => {
    const meanings = [['93.184.216.34'], ['93.184.216.34', '::ffff:127.0.0.1'], ['64:ff9b::a00:1']];
    const lookUp: LookUp = (_hostname, _options, callback) =>
      callback(
        null,
        (meanings.shift() ?? []).map(address => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    const guarded = guardedLookup([], lookUp);
    const connect = () =>
      new Promise<string>(resolve => {
        guarded('hooks.example', {}, (failure, address) => resolve(failure?.name ?? String(address)));
      });
    expect([await connect(), await connect(), await connect(), await connect()]).toEqual([
      '93.184.216.34',
      'ForbiddenAddressError',
      'ForbiddenAddressError',
      'ForbiddenAddressError',
    ]);
  });
});
