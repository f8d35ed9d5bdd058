import { constants, mkdirSync, realpathSync, statSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What is free for us where a directory is, in MiB. Rejects with the file system's error. */
export async function freeMiBIn(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor((bavail * bsize) / 2 ** 20);
}

/**
 * The room for a directory that need not be there yet: the nearest one above it that is, and what
 * is free there. Rejects with the file system's error when this user could not write there.
 */
export async function roomFor(
  directory: string,
): Promise<{ readonly path: string; readonly freeMiB: number }> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      await access(path, constants.W_OK | constants.X_OK);
      return { path, freeMiB: await freeMiBIn(path) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw cause;
    }
  }
}

/**
 * Why what is in the directory may be somebody else's; undefined when it is root's or ours alone:
 * nobody else can write there, or put another one in its place. Throws the file system's error.
 */
export function sharedWith(directory: string): string | undefined {
  const real = realpathSync(directory);
  const { uid, mode } = statSync(real);
  if (uid !== 0 && uid !== process.getuid?.()) return `${real} belongs to uid ${uid}`;
  if ((mode & 0o022) !== 0) return `others can write to ${real}`;
  for (let above = dirname(real); ; above = dirname(above)) {
    const { mode: bits } = statSync(above);
    // In one with the sticky bit, as /tmp, everybody can move their own things alone.
    if ((bits & 0o002) !== 0 && (bits & 0o1000) === 0) return `anybody can write to ${above}`;
    if (above === dirname(above)) return undefined;
  }
}

/**
 * Makes a directory whose parent is there. One that somebody else was faster to make (another node,
 * another command of ours) is the caller's to look at. Throws the file system's error.
 */
export function makeUnlessThere(directory: string, mode: number): void {
  try {
    mkdirSync(directory, { mode });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}
