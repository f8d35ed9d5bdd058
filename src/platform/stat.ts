import { lstatSync, type Stats, statSync } from 'node:fs';

/**
 * What is at a path; undefined when nothing is. Throws what else the file system says: a path below
 * a file (ENOTDIR), one that cannot be looked at. Node's
 * own option for this, `throwIfNoEntry`, takes a path below a file for one where nothing is: not in
 * Node.js 20, but in later ones.
 */
export function statIfThere(path: string): Stats | undefined {
  return ifThere(() => statSync(path));
}

/** As `statIfThere`, of a symbolic link itself. */
export function lstatIfThere(path: string): Stats | undefined {
  return ifThere(() => lstatSync(path));
}

function ifThere(look: () => Stats): Stats | undefined {
  try {
    return look();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}
