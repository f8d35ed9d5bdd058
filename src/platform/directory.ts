import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where a directory is, or would be made: the nearest one above it that is there, and the space that is free for us there. */
export interface Room {
  readonly path: string;
  readonly freeMiB: number;
}

const mebibyte = 1_048_576;

/** The room for a directory that need not be there yet. Rejects with the file system's error when this user could not write there; nothing is made. */
export async function roomFor(directory: string): Promise<Room> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      await access(path, constants.W_OK | constants.X_OK);
      const { bavail, bsize } = await statfs(path);
      return { path, freeMiB: Math.floor((bavail * bsize) / mebibyte) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw cause;
    }
  }
}
