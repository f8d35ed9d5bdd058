import { lstatSync, type Stats, statSync } from 'node:fs';

/**
 * What is at a path; undefined when nothing is. Throws what else the file system says: that it is
 * below a file (ENOTDIR), which Node's own `throwIfNoEntry` takes for nothing in versions after 20.
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
