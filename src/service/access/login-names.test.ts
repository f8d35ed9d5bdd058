import { describe, expect, it } from 'vitest';
import { audienceOf } from '../../protocol/login.ts';
import { type LoginPlace, loginNames } from './login-names.ts';

const place: LoginPlace = {
  host: '0.0.0.0',
  port: 8_080,
  isTls: false,
  url: null,
  headAddress: undefined,
  bootId: 'boot',
};
const names = (over: Partial<LoginPlace>): string[] => [...loginNames({ ...place, ...over })];

describe('security 6: the names of a service in logins', () => {
  it('are, without TLS, the loopback addresses that it holds, on this host alone', () => {
    expect(names({})).toEqual(['http://127.0.0.1:8080@boot']);
    expect(names({ host: '::' })).toEqual(['http://127.0.0.1:8080@boot', 'http://[::1]:8080@boot']);
    expect(names({ host: '10.0.0.1', url: 'http://head:8080' })).toEqual([]);
  });

  it('are, with TLS, those that its own certificate is made for, and service.url', () => {
    const own = names({ host: '10.0.0.1', isTls: true, url: 'https://wsp.example.org' });
    expect(own).toEqual(expect.arrayContaining(['https://10.0.0.1:8080', 'https://wsp.example.org']));
    expect(own).toContain('https://wsp.example.org:8080');
    expect(own.filter(name => !name.startsWith('https:'))).toEqual([]);
    const head = names({ host: '10.0.0.1', isTls: true, headAddress: '10.77.1.1' });
    expect(head).toContain('https://10.77.1.1:8080');
    expect(head.toSorted()).toEqual(
      [...names({ host: '10.0.0.1', isTls: true }), 'https://10.77.1.1:8080'].toSorted(),
    );
  });

  it('are those of a proxy with TLS before it', () => {
    expect(names({ host: '127.0.0.1', url: 'https://wsp.example.org/' })).toEqual([
      'http://127.0.0.1:8080@boot',
      'https://wsp.example.org',
    ]);
  });

  it('are what a client makes of the URL that it uses', () => {
    expect(audienceOf('https://Wsp.example.org:443/', () => 'boot')).toBe('https://wsp.example.org');
    expect(audienceOf('http://127.1:8080', () => 'boot')).toBe('http://127.0.0.1:8080@boot');
    for (const url of [
      'http://head:8080',
      'http://localhost:8080',
      'http://127.0.0.2:8080',
      'http://10.0.0.1',
    ])
      expect(audienceOf(url, () => 'boot')).toBeUndefined();
  });
});
