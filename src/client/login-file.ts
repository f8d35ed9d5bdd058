import { constants } from 'node:fs';
import { chmod, open, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WspError } from '../protocol/errors.ts';

/**
 * A login by a file, on the client's side. Whoever answers on the socket could say anything, so
 * what they say counts for little: the file is made in the directory `login` beside the socket and
 * nowhere else, and only where the socket and its directory belong to somebody whom we trust.
 */

const fileMode = 0o644;
const namePattern = /^[A-Za-z0-9_-]{32}$/;
/** open(2): the directory itself, which may be written and not read. Node has no name for it. */
const O_PATH = 0x200000;

/** That the socket is root's, ours or a trusted one's. Throws `WspError` (`unauthorized`). */
export async function checkSocket(socket: string, trusted: readonly number[]): Promise<void> {
  const isTrusted = (uid: number): boolean =>
    uid === 0 || uid === process.getuid?.() || trusted.includes(uid);
  const refused = (what: string, uid: number): WspError =>
    new WspError('unauthorized', `${what} belongs to uid ${uid}, who is not known to run the service`, {
      hint: 'if the service runs as that user, say so with serviceUser in the config file or WSP_SERVICE_USER; else do not use it, for it could act in your name',
    });
  const there = await stat(socket).catch(unusable(socket));
  if (!isTrusted(there.uid)) throw refused(`the socket ${socket}`, there.uid);
  const directory = await realpath(dirname(socket));
  const around = await stat(directory);
  if (!isTrusted(around.uid)) throw refused(directory, around.uid);
  const [sticky, others] = [(around.mode & 0o1000) !== 0, (around.mode & 0o022) !== 0];
  if (others && !sticky)
    throw new WspError(
      'unauthorized',
      `others can write to ${directory}: the socket in it may be anybody's`,
      { hint: 'have an administrator set its mode to 0755' },
    );
}

/** Writes the proof where it may be; returns its removal. Throws `WspError` (`unauthorized`). */
export async function writeProof(
  socket: string,
  { path, content }: { readonly path: string; readonly content: string },
): Promise<() => Promise<void>> {
  const directory = join(await realpath(dirname(socket)), 'login');
  const told = await realpath(dirname(path)).catch(() => undefined);
  if (told !== directory || !namePattern.test(basename(path)))
    throw new WspError(
      'unauthorized',
      `what answers at ${socket} asks for the file ${path}, which is not in its login directory`,
      { hint: 'it is not a Workspace Service, or it pretends to be one: tell an administrator' },
    );
  // Held by its descriptor, so that nobody puts another one in its place meanwhile.
  const { O_DIRECTORY, O_NOFOLLOW } = constants;
  const held = await open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW).catch(unusable(directory));
  const proof = `/proc/self/fd/${held.fd}/${basename(path)}`;
  try {
    // Nothing that is there already is touched.
    await writeFile(proof, content, { flag: 'wx', mode: fileMode });
    // Whatever the umask says: the service must be able to read it, and nobody but us to write it.
    await chmod(proof, fileMode);
  } catch (cause) {
    await held.close();
    return unusable(path)(cause);
  }
  return async () => {
    await rm(proof, { force: true });
    await held.close();
  };
}

function unusable(path: string): (cause: unknown) => never {
  return cause => {
    throw new WspError('unauthorized', `a login by ${path} cannot be made: ${(cause as Error).message}`, {
      hint: 'log in with a token (WSP_TOKEN), or on the host of the service',
      cause,
    });
  };
}
