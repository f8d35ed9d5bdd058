import { describe, expect, it } from 'vitest';
import { guardedLookup, isForbidden, literalAddress } from './addresses.ts';

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

  it.each(['10.0.0.1', '192.168.1.1', '8.8.8.8', '2001:4860:4860::8888', 'fd12::1'])('but to %s', address => {
    expect(isForbidden(address, [])).toBe(false);
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
});
