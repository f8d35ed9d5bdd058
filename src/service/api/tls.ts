import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import { WspError } from '../../protocol/errors.ts';
import { secretFileMistake } from '../../platform/secret-file.ts';

/** Certificate (with what its chain needs) and key, as PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Where they are. */
export interface TlsConfig {
  readonly certificateFile: string;
  readonly keyFile: string;
}

const days = 3_650;
const commandDeadlineMs = 60_000;

/**
 * Reads the certificate and its key; when neither file is there, makes a self-signed certificate
 * for `hosts`, for ten years, with openssl(1). Clients pin it by its file. Throws `WspError`
 * (`invalid_file`: one is missing, malformed, expired, does not fit the other, or the key can be
 * read by others; `failed`: no openssl).
 */
export async function loadTls(
  config: TlsConfig,
  hosts: readonly string[],
  now: number,
  processes: ProcessRunner,
): Promise<TlsFiles> {
  const { certificateFile, keyFile } = config;
  if (!existsSync(certificateFile) && !existsSync(keyFile)) await make(config, hosts, processes);
  const wrong = secretFileMistake(keyFile, 'the key');
  if (wrong !== undefined) throw invalid(wrong);
  const cert = read(certificateFile);
  const key = read(keyFile);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (cause) {
    throw invalid(`${certificateFile} holds no certificate (PEM)`, cause);
  }
  if (Date.parse(certificate.validTo) <= now)
    throw invalid(`the certificate ${certificateFile} expired on ${certificate.validTo}`);
  try {
    if (certificate.checkPrivateKey(createPrivateKey(key))) return { cert, key };
  } catch (cause) {
    throw invalid(`${keyFile} holds no private key that can be used (PEM, no password)`, cause);
  }
  throw invalid(`the key ${keyFile} is not that of the certificate ${certificateFile}`);
}

/** The names that this host is reached by: of the addresses listened on, of the host, and of the loopback. */
export function tlsHosts(
  listenHost: string,
  url: string | null,
  headAddress: string | undefined,
): readonly string[] {
  const any = listenHost === '0.0.0.0' || listenHost === '::';
  const addresses = Object.values(networkInterfaces()).flatMap(
    each => each?.map(({ address }) => address) ?? [],
  );
  const hosts = [
    ...(any ? addresses : [listenHost]),
    ...(url === null ? [] : [new URL(url).hostname.replace(/^\[|\]$/g, '')]),
    ...(headAddress === undefined ? [] : [headAddress]),
    hostname(),
    'localhost',
    '127.0.0.1',
    '::1',
  ];
  return [...new Set(hosts.filter(host => !host.includes('%')))];
}

/** Under other names first: who is interrupted leaves no key without its certificate. */
async function make(
  { certificateFile, keyFile }: TlsConfig,
  hosts: readonly string[],
  processes: ProcessRunner,
): Promise<void> {
  const names = hosts.map(host => (isIP(host) ? `IP:${host}` : `DNS:${host}`)).join(',');
  const [newCertificate, newKey] = [`${certificateFile}.new`, `${keyFile}.new`];
  for (const path of [certificateFile, keyFile]) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  for (const path of [newCertificate, newKey]) rmSync(path, { force: true });
  const what = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256'];
  const about = ['-days', String(days), '-subj', '/CN=workspace-pilot', '-addext', `subjectAltName=${names}`];
  const argv = ['openssl', ...what, ...about, '-keyout', newKey, '-out', newCertificate] as const;
  const failed = (why: string | undefined, cause?: unknown): WspError =>
    new WspError('failed', `no certificate can be made: ${why}`, {
      hint: 'install openssl, or put your own certificate and key there',
      cause,
    });
  const result = await processes.run(argv, { deadlineMs: commandDeadlineMs }).catch((cause: unknown) => {
    throw failed((cause as Error).message, cause);
  });
  if (result.code !== 0) throw failed(result.stderr.trim().split('\n').at(-1));
  chmodSync(newKey, 0o600);
  chmodSync(newCertificate, 0o644);
  renameSync(newKey, keyFile);
  renameSync(newCertificate, certificateFile);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`${path} cannot be read: ${(cause as Error).message}`, cause);
  }
}

function invalid(why: string, cause?: unknown): WspError {
  return new WspError('invalid_file', `TLS: ${why}`, {
    hint: 'service.tls in the site file names both; remove both to have new ones made',
    cause,
  });
}
