import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { WspError } from '../protocol/errors.ts';

/** Where the service is and who asks: WSP_URL and WSP_TOKEN (or WSP_TOKEN_FILE), else the config file. */
export interface CliSettings {
  readonly url: string;
  readonly token: string;
}

/** Directory of the user's own files: the config file, the SSH key. XDG Base Directory Specification. */
export function configDirectory(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? homedir(), '.config'), 'wsp');
}

/** Reads the settings. Throws `WspError` (`usage`) that says where they could be given. */
export function cliSettings(env: NodeJS.ProcessEnv): CliSettings {
  const path = env['WSP_CONFIG'] ?? join(configDirectory(env), 'config.yaml');
  const file = existsSync(path) ? readConfig(path) : {};
  const url = env['WSP_URL'] ?? file['url'];
  const tokenFile = env['WSP_TOKEN_FILE'] ?? file['tokenFile'];
  const token = env['WSP_TOKEN'] ?? (typeof tokenFile === 'string' ? readToken(tokenFile) : undefined);
  if (typeof url !== 'string' || !/^https?:\/\//.test(url)) {
    throw new WspError('usage', 'the URL of the service is not known', {
      hint: `set WSP_URL, or url in ${path}`,
    });
  }
  if (token === undefined) {
    throw new WspError('usage', 'no token is known', {
      hint: `set WSP_TOKEN or WSP_TOKEN_FILE, or tokenFile in ${path}`,
    });
  }
  return { url, token };
}

function readConfig(path: string): Record<string, unknown> {
  try {
    const document = parse(readFileSync(path, 'utf8')) as unknown;
    if (typeof document === 'object' && document !== null) return document as Record<string, unknown>;
    throw new Error('it is not a mapping');
  } catch (cause) {
    throw new WspError(
      'usage',
      `the config file ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}

/** A token file has the token, or a line `user token` as the service's own file has it. */
function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n')[0]?.trim().split(/\s+/).at(-1) ?? '';
  } catch (cause) {
    throw new WspError(
      'usage',
      `the token file ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}
