import { accessSync, constants, existsSync, lstatSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { makeUnlessThere } from '../platform/directory.ts';
import { WspError } from '../protocol/errors.ts';

/**
 * Where the user's own files are, by the XDG Base Directory Specification: a variable that holds no
 * absolute path counts as not set. Without a home that can be written, the SSH key and known hosts
 * are in a directory of this user alone that lasts as long as the host lets it.
 */

/** A directory that files may be in. */
interface Place {
  readonly directory: string;
  /** In a place that all users share, somebody else may have made it before us. */
  readonly shared: boolean;
}

/** The directory of the config file; undefined: there is no home. */
export function configDirectory(env: NodeJS.ProcessEnv): string | undefined {
  return ownDirectory(env, 'XDG_CONFIG_HOME', '.config');
}

/** Config files of an administrator's for all users of the host, the one that counts first. */
export function hostConfigFiles(env: NodeJS.ProcessEnv): readonly string[] {
  const directories = (env['XDG_CONFIG_DIRS'] || '/etc/xdg').split(':');
  return directories.flatMap(each => (isAbsolute(each) ? [join(each, 'wsp/config.yaml')] : []));
}

/** Where the SSH key may be, the best place first. */
export function keyPlaces(env: NodeJS.ProcessEnv): readonly Place[] {
  return placesFrom(configDirectory(env), env);
}

/** Where known hosts may be, the best place first. */
export function cachePlaces(env: NodeJS.ProcessEnv): readonly Place[] {
  return placesFrom(ownDirectory(env, 'XDG_CACHE_HOME', '.cache'), env);
}

/** The first place that can be written; made if it is not there. Throws `WspError` (`failed`). */
export function writableDirectory(places: readonly Place[], what: string): string {
  const found = places.find(isWritable);
  if (found !== undefined) return found.directory;
  const tried = places.map(({ directory }) => directory).join(', ');
  throw new WspError('failed', `there is no place for ${what}: ${tried} cannot be written`, {
    hint: 'set XDG_CONFIG_HOME and XDG_CACHE_HOME to directories of yours',
  });
}

/** Whether nobody but this user (and root) can have put into a place what is there. */
export function isTrusted({ directory, shared }: Place): boolean {
  if (!shared) return true;
  try {
    const stat = lstatSync(directory);
    return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
  } catch {
    // It is not there, or is not for us to look at.
    return false;
  }
}

function ownDirectory(env: NodeJS.ProcessEnv, variable: string, belowHome: string): string | undefined {
  const base = absolute(env[variable]);
  if (base !== undefined) return join(base, 'wsp');
  const home = absolute(env['HOME']) ?? homeByName();
  return home === undefined ? undefined : join(home, belowHome, 'wsp');
}

function placesFrom(best: string | undefined, env: NodeJS.ProcessEnv): readonly Place[] {
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  return [
    ...(best === undefined ? [] : [{ directory: best, shared: false }]),
    ...(runtime === undefined ? [] : [{ directory: join(runtime, 'wsp'), shared: true }]),
    {
      directory: join(absolute(env['TMPDIR']) ?? '/tmp', `wsp-${process.getuid?.() ?? 0}`),
      shared: true,
    },
  ];
}

function isWritable(place: Place): boolean {
  const { directory } = place;
  try {
    makeDirectory(directory);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return isTrusted(place);
  } catch {
    return false;
  }
}

/** With those above. Not Node's `recursive`: where none can be made (/proc) it tries for ever. */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  makeDirectory(dirname(directory));
  makeUnlessThere(directory, 0o700);
}

function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** What the host's list of users says; it may not know us (a container with a user of its own). */
function homeByName(): string | undefined {
  try {
    return absolute(userInfo().homedir);
  } catch {
    return undefined;
  }
}
