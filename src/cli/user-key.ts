import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../platform/process.ts';
import { WspError } from '../protocol/errors.ts';
import { isTrusted, keyPlaces, writableDirectory } from './directories.ts';

const keyName = 'id_ed25519';

/** The user's own key for VMs, made on first need. Returns the private key's path. Throws `WspError` (`failed`). */
export async function userKey(env: NodeJS.ProcessEnv): Promise<string> {
  const places = keyPlaces(env);
  const there = places
    .filter(isTrusted)
    .map(({ directory }) => join(directory, keyName))
    .find(existsSync);
  if (there !== undefined) return there;
  const path = join(writableDirectory(places, 'the SSH key'), keyName);
  const made = await systemProcesses.run(
    ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'wsp', '-f', path],
    { deadlineMs: 30_000 },
  );
  if (made.code !== 0)
    throw new WspError('failed', `ssh-keygen could not make ${path}: ${made.stderr.trim()}`);
  return path;
}

/** The user's public key line. */
export async function userPublicKey(env: NodeJS.ProcessEnv): Promise<string> {
  return readFileSync(`${await userKey(env)}.pub`, 'utf8').trim();
}
