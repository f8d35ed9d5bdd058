import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeUnlessThere } from '../../platform/directory.ts';
import { lstatIfThere } from '../../platform/stat.ts';
import { ControlError } from '../control.ts';

/**
 * Directories in which nobody but this user and root can put something in place of something else.
 * A pilot works with names that others can foresee (`squeue` shows them): in a directory of
 * somebody else's it would write through their links and report what they have written.
 *
 * So each part of the path, from `/` on, belongs to root or to this user, and is not writable by
 * others unless it is sticky, as /tmp is: there others can make a name before us, which is then
 * theirs and refused, but not take one away.
 */

/** More than anybody has on purpose; links that lead in a circle end here. */
const mostLinks = 32;
const writableByOthers = 0o022;
const sticky = 0o1000;
/** What whoever has chosen the directory is told. */
const workDirAdvice =
  'node.workDir must be where only root and the user of the jobs can make files, as a directory that root has made for them';

/** This process's user. */
export function ownUid(): number {
  return process.getuid?.() ?? 0;
}

/**
 * Makes what is missing of a directory's path, with mode 0711. Throws `ControlError`
 * `workdir_unsafe` at the first part that others could change, before anything is made below it;
 * the file system's error when a part cannot be made.
 */
export function makeOwnDirectory(path: string, uid = ownUid()): void {
  walk(path, uid, workDirAdvice, part => makeUnlessThere(part, 0o711));
}

/** Looks as `makeOwnDirectory` does, and makes nothing. Whether everybody may make the rest. */
export function checkOwnDirectory(
  path: string,
  uid = ownUid(),
  advice = workDirAdvice,
): { readonly openToAll: boolean } {
  const missing = walk(path, uid, advice, () => undefined);
  return {
    openToAll: missing !== undefined && (lstatSync(dirname(missing)).mode & writableByOthers) !== 0,
  };
}

/**
 * Takes a directory that is this user's alone: made with mode 0700, or there already with nothing
 * in it that is not this user's. Throws as `makeOwnDirectory`.
 */
export function takeOwnDirectory(path: string, uid = ownUid()): void {
  makeOwnDirectory(dirname(path), uid);
  makeUnlessThere(path, 0o700);
  const there = lstatSync(path);
  if (!there.isDirectory() || there.uid !== uid || (there.mode & 0o077) !== 0)
    throw unsafe(
      path,
      `was made by somebody else (${describe(there)}), not by this slot's pilot`,
      workDirAdvice,
    );
  for (const name of readdirSync(path)) {
    const entry = join(path, name);
    const found = lstatSync(entry);
    const isPlain = found.isDirectory() || (found.isFile() && found.nlink === 1);
    if (!isPlain || found.uid !== uid)
      throw unsafe(entry, `is not this slot's pilot's own (${describe(found)})`, workDirAdvice);
  }
}

/** Goes down the path, through links as the kernel does, to its end or what is left missing. */
function walk(path: string, uid: number, advice: string, make: (part: string) => void): string | undefined {
  const names = resolve(path).split('/');
  let at = '/';
  let links = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const part = join(at, name);
    if (!lstatIfThere(part)) make(part);
    const found = lstatIfThere(part);
    if (!found) return part;
    const why = whyUnsafe(found, uid);
    if (why !== undefined) throw unsafe(part, why, advice);
    if (!found.isSymbolicLink()) at = part;
    else {
      links += 1;
      if (links > mostLinks) throw unsafe(part, 'is a link that leads in a circle', advice);
      names.unshift(...resolve(at, readlinkSync(part)).split('/'));
      at = '/';
    }
  }
  return undefined;
}

function whyUnsafe(found: Stats, uid: number): string | undefined {
  if (found.uid !== 0 && found.uid !== uid)
    return `belongs to another user (${describe(found)}), who could change what is in it`;
  // A link has no mode of its own; where it stands was looked at, and where it leads will be.
  if (found.isSymbolicLink()) return undefined;
  if (!found.isDirectory()) return 'is not a directory';
  return (found.mode & writableByOthers) !== 0 && (found.mode & sticky) === 0
    ? `can be written to by others (${describe(found)}), who could change what is in it`
    : undefined;
}

function describe({ uid, mode }: Stats): string {
  return `user id ${uid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
}

function unsafe(path: string, why: string, advice: string): ControlError {
  return new ControlError('workdir_unsafe', `${path} ${why}: ${advice}`);
}
