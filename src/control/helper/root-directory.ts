import { statIfThere } from '../../platform/stat.ts';
import { checkOwnDirectory } from '../node/own-directory.ts';

/**
 * Throws an error with one sentence when others than root can write in a directory that root
 * believes, or could put another in its place. `what` has named it. It need not be there yet.
 */
export function requireRootsAlone(what: string, directory: string): void {
  const advice = `${what} must be where root alone can make files`;
  const { openToAll } = checkOwnDirectory(directory, 0, advice);
  // Others take nothing out of a directory such as /tmp, but they can make what is not there yet.
  if (openToAll || ((statIfThere(directory)?.mode ?? 0) & 0o022) !== 0)
    throw new Error(`others than root can make files in ${directory}, or make it first: ${advice}`);
}
