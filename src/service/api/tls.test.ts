import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import { CommandFailure, systemProcesses } from '../../platform/process.ts';
import { loadTls, type TlsConfig, tlsHosts } from './tls.ts';

let directory: string;
let config: TlsConfig;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-tls-'));
  config = { certificateFile: join(directory, 'tls/cert.pem'), keyFile: join(directory, 'tls/key.pem') };
});
afterEach(() => rmSync(directory, { recursive: true }));

const load = (now = systemClock.now(), processes = systemProcesses) =>
  loadTls(config, ['head.site', '10.0.0.1'], now, processes);

it('makes a certificate for the names that it is reached by, once', async () => {
  const made = await load();
  expect(new X509Certificate(made.cert).subjectAltName).toBe('DNS:head.site, IP Address:10.0.0.1');
  expect(await load()).toEqual(made);
});

it('is reached by where it listens, by its URL, and by the loopback', () => {
  const hosts = tlsHosts('10.0.0.1', 'https://head.site:1', '10.1.0.1');
  expect(hosts).toEqual(
    expect.arrayContaining(['10.0.0.1', 'head.site', '10.1.0.1', 'localhost', '127.0.0.1']),
  );
  expect(tlsHosts('0.0.0.0', null, undefined)).not.toContain('0.0.0.0');
});

it.each([
  [
    'the certificate is none',
    () => writeFileSync(config.certificateFile, 'nonsense'),
    /holds no certificate/,
  ],
  ['the key is none', () => writeFileSync(config.keyFile, 'nonsense'), /holds no private key/],
  ['the key can be read by others', () => chmodSync(config.keyFile, 0o644), /others can read the key/],
  ['the key is missing', () => rmSync(config.keyFile), /cannot be read/],
])('says so when %s', async (_what, spoil, words) => {
  await load();
  spoil();
  await expect(load()).rejects.toMatchObject({ code: 'invalid_file', message: expect.stringMatching(words) });
});

it('says so when the key is that of another certificate, or the certificate is too old', async () => {
  await load();
  const other = { certificateFile: join(directory, 'other.pem'), keyFile: join(directory, 'other.key') };
  await loadTls(other, ['other'], systemClock.now(), systemProcesses);
  writeFileSync(config.keyFile, readFileSync(other.keyFile));
  await expect(load()).rejects.toThrow('is not that of the certificate');
  await expect(
    loadTls(other, [], systemClock.now() + 11 * 365 * 86_400_000, systemProcesses),
  ).rejects.toThrow('expired');
});

it('says what to install when there is no openssl', async () => {
  const without = {
    run: () => Promise.reject(new CommandFailure('not-found', ['openssl'], 'openssl is not there')),
  };
  await expect(load(systemClock.now(), without)).rejects.toMatchObject({
    code: 'failed',
    hint: expect.stringContaining('install openssl'),
  });
});
