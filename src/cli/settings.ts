import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { WspError } from '../protocol/errors.ts';
import { configDirectory, hostConfigFiles } from './directories.ts';
import { messageOf } from '../platform/message-of.ts';
import { usageError } from './values.ts';

/**
 * Where the service is and who asks: WSP_URL, WSP_TOKEN (or WSP_TOKEN_FILE), WSP_CA_FILE and
 * WSP_SERVICE_USER, else the user's config file, else that of the host; where nothing says where
 * the service is, its socket on this host.
 */
export interface CliSettings {
  readonly url: string;
  /** Undefined: whoever runs the command logs in as himself. */
  readonly token: string | undefined;
  /** PEM of the certificate, or its authority's, that the service must have. */
  readonly ca: string | undefined;
  /** As whom the service runs, whose socket is believed besides root's: a name or a number. */
  readonly serviceUser: string | undefined;
}

/** Where the administrator's guide puts `service.socket`. */
const usualSocket = '/run/workspace-pilot/socket';

/** Throws `WspError` (`usage`) that says where to give them. `socket`: when nothing is said. */
export function cliSettings(env: NodeJS.ProcessEnv, socket = usualSocket): CliSettings {
  const path = configFile(env);
  const file = { ...readConfig(hostConfigFiles(env).find(existsSync)), ...readConfig(path) };
  const place = path ?? `${configDirectory(env) ?? '~/.config/wsp'}/config.yaml`;
  const url = env['WSP_URL'] ?? file.url ?? (existsSync(socket) ? `unix:${socket}` : undefined);
  const tokenFile = env['WSP_TOKEN_FILE'] ?? file.tokenFile;
  const token = env['WSP_TOKEN'] ?? (tokenFile === undefined ? undefined : readToken(tokenFile));
  if (url === undefined || url === '')
    throw usageError('the URL of the service is not known', `set WSP_URL, or url in ${place}`);
  if (!/^(https?:\/\/[^/]|unix:\/.)/.test(url))
    throw usageError(
      `the URL of the service must begin with http://, https:// or unix:/ (it is ${url})`,
      `correct WSP_URL, or url in ${place}`,
    );
  if (token === '')
    throw usageError(
      'the token is empty',
      `set WSP_TOKEN or WSP_TOKEN_FILE, or tokenFile in ${place}; or unset it, to log in without a token`,
    );
  const caFile = env['WSP_CA_FILE'] ?? file.caFile;
  return {
    url,
    token,
    ca: caFile === undefined ? undefined : readCertificate(caFile),
    serviceUser: env['WSP_SERVICE_USER'] ?? file.serviceUser,
  };
}

/**
 * The file that was asked for, which must be there; or the ordinary one when it is there. A file
 * that only other users can read counts as none where the environment says enough.
 */
function configFile(env: NodeJS.ProcessEnv): string | undefined {
  if (env['WSP_CONFIG']) return env['WSP_CONFIG'];
  const directory = configDirectory(env);
  const path = directory === undefined ? undefined : join(directory, 'config.yaml');
  if (path === undefined || !existsSync(path)) return undefined;
  return env['WSP_URL'] && !isReadable(path) ? undefined : path;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

interface ConfigFile {
  readonly url?: string;
  /** Absolute, or relative to the file. */
  readonly tokenFile?: string;
  /** As `tokenFile`. */
  readonly caFile?: string;
  readonly serviceUser?: string;
}

const known: readonly string[] = ['url', 'tokenFile', 'caFile', 'serviceUser'];

function readConfig(path: string | undefined): ConfigFile {
  if (path === undefined) return {};
  try {
    const document = parse(readFileSync(path, 'utf8')) as unknown;
    if (typeof document !== 'object' || document === null) throw new Error('it is not a mapping');
    const entries = Object.entries(document).map(([key, value]) => {
      if (!known.includes(key)) throw new Error(`${key} is not known here; known: ${known.join(', ')}`);
      if (typeof value !== 'string') throw new Error(`${key} is not a text`);
      if (value.startsWith('~'))
        throw new Error(`${key} begins with ~, which only a shell replaces: write the whole path`);
      return [key, key.endsWith('File') ? resolve(dirname(path), value) : value] as const;
    });
    return Object.fromEntries(entries);
  } catch (cause) {
    throw usageError(
      `the config file ${path} cannot be used: ${messageOf(cause)}`,
      'it has the lines "url: http://…" and "tokenFile: …"; WSP_CONFIG names another file',
    );
  }
}

/** A token file has the token, or a line `user token` as the service's own file has it. */
function readToken(path: string): string {
  try {
    refuseOpenFile(path);
    return readFileSync(path, 'utf8').split('\n')[0]?.trim().split(/\s+/).at(-1) ?? '';
  } catch (cause) {
    if (cause instanceof WspError) throw cause;
    throw usageError(
      `the token file ${path} cannot be read: ${messageOf(cause)}`,
      'correct WSP_TOKEN_FILE, or tokenFile in the config file',
    );
  }
}

function readCertificate(path: string): string {
  const hint = 'correct WSP_CA_FILE, or caFile in the config file';
  try {
    const text = readFileSync(path, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (cause) {
    throw usageError(`the certificate file ${path} cannot be read: ${messageOf(cause)}`, hint);
  }
  throw usageError(`${path} holds no certificate (PEM)`, hint);
}

/** Whoever can read a token is its user. As ssh(1) does with private keys. */
function refuseOpenFile(path: string): void {
  const stat = statSync(path);
  const mode = stat.mode & 0o777;
  if (!stat.isFile() || (mode & 0o077) === 0) return;
  throw usageError(
    `others can read the token file ${path} (mode ${mode.toString(8).padStart(4, '0')})`,
    `chmod 600 ${path}; a token that others may have read: wsp revoke`,
  );
}
