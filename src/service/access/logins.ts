import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import type { Random } from '../../platform/random.ts';
import { userPattern } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';

/**
 * Logins of Unix users with no password. Node cannot read a socket's peer credentials (SO_PEERCRED), so the file system answers for who somebody is:
 *
 *   begin ─► claim (to the caller alone), path and content ─► he writes the file, as himself ─► finish(claim): its owner is who he is
 *
 * or MUNGE does (munge(7)), from any host of its realm: `munge(credential)`.
 *
 * Invariants: the file's name cannot be guessed or listed, it has one link, nobody but its owner can write it, and it holds what we said: a file that its
 * owner did not write just now is not taken. A claim is good once, and for `claimMs`. If we crash: claims are gone; files are swept at the next start.
 */
export interface LoginParts {
  /** Directory for the files, on a local file system where users own nothing else. Null: no such logins. */
  readonly directory: string | null;
  /** munged's socket. Null: no such logins. */
  readonly mungeSocket: string | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly processes: ProcessRunner;
  /** Of whoever the service runs as. */
  readonly ownUid: number;
}

/** What the caller writes where, and how he says that he has. */
export interface FileChallenge {
  readonly path: string;
  readonly content: string;
  readonly claim: string;
}

interface Claim {
  readonly path: string;
  readonly content: string;
  readonly until: number;
}

/** In the credential, so that one which was made for something else (a batch job) is no login. */
export const mungeText = 'wsp-login';
const claimMs = 30_000;
const mostClaims = 1_000;
const mostUnmunges = 16;
const commandDeadlineMs = 10_000;
/** Anybody may put a file in, nobody may list them, and only its owner (and we) may take one out. */
const directoryMode = 0o1733;
/** The administrator's own account, from the beginning. */
const administrator = 'admin';

/** The logins of one service. */
export class Logins {
  readonly #parts: LoginParts;
  readonly #claims = new Map<string, Claim>();
  #unmunging = 0;

  constructor(parts: LoginParts) {
    this.#parts = parts;
  }

  /** Makes the directory, empty. Rejects with what the file system says. */
  async open(): Promise<void> {
    const { directory } = this.#parts;
    if (directory === null) return;
    await mkdir(directory, { recursive: true });
    await chmod(directory, directoryMode);
    for (const name of await readdir(directory)) await rm(join(directory, name), { force: true });
  }

  /** Which logins there are; of MUNGE's, the text that a credential must hold. */
  ways(): { readonly file: boolean; readonly munge: string | null } {
    const { directory, mungeSocket } = this.#parts;
    return { file: directory !== null, munge: mungeSocket === null ? null : mungeText };
  }

  /** Throws `WspError` (`not_found`: no such logins here; `rate_limited`). */
  begin(): FileChallenge {
    const { directory, clock } = this.#parts;
    if (directory === null) throw notHere('with a file');
    this.#forgetOld();
    if (this.#claims.size >= mostClaims)
      throw new WspError('rate_limited', 'too many logins at once', { hint: 'try again in half a minute' });
    const [name, content, claim] = [this.#word(), this.#word(), this.#word()];
    const path = join(directory, name);
    this.#claims.set(claim, { path, content, until: clock.now() + claimMs });
    return { path, content, claim };
  }

  /** The user who wrote the file. Throws `WspError` (`unauthorized`). */
  async finish(claim: string): Promise<string> {
    this.#forgetOld();
    const known = this.#claims.get(claim);
    if (!known) throw new WspError('unauthorized', 'there is no such login (any more): begin again');
    this.#claims.delete(claim);
    try {
      return await this.#userOf(await ownerOf(known));
    } finally {
      await unlink(known.path).catch(() => undefined);
    }
  }

  /** The user who made the credential. Throws `WspError` (`unauthorized`, `not_found`: no such logins here; `rate_limited`; `failed`). */
  async munge(credential: string): Promise<string> {
    const { mungeSocket, processes } = this.#parts;
    if (mungeSocket === null) throw notHere('with MUNGE');
    if (this.#unmunging >= mostUnmunges)
      throw new WspError('rate_limited', 'too many logins at once', { hint: 'try again in a moment' });
    this.#unmunging += 1;
    try {
      const argv = ['unmunge', '-S', mungeSocket, '-k', 'STATUS,UID,LENGTH'] as const;
      const { code, stdout, stderr } = await processes.run([...argv], {
        deadlineMs: commandDeadlineMs,
        input: credential,
        maxOutputBytes: 64 * 1024,
      });
      const told = /^UID: +\S* ?\((?<uid>[0-9]+)\)$/m.exec(stdout)?.groups?.['uid'];
      const [, text = ''] = stdout.split('\n\n');
      if (code !== 0 || told === undefined)
        throw new WspError(
          'unauthorized',
          `MUNGE does not accept the credential: ${reasonOf(stderr, stdout)}`,
        );
      if (text !== mungeText)
        throw new WspError('unauthorized', 'the MUNGE credential was made for something else');
      return await this.#userOf(Number(told));
    } catch (cause) {
      if (cause instanceof WspError) throw cause;
      throw new WspError('failed', `unmunge cannot be run: ${(cause as Error).message}`, { cause });
    } finally {
      this.#unmunging -= 1;
    }
  }

  /** Root, and whoever the service runs as, have its files in their hands: they are the administrator. */
  async #userOf(uid: number): Promise<string> {
    if (uid === 0 || uid === this.#parts.ownUid) return administrator;
    const { stdout } = await this.#parts.processes
      .run(['getent', 'passwd', String(uid)], { deadlineMs: commandDeadlineMs })
      .catch((cause: unknown) => {
        throw new WspError('failed', `the user ${uid} cannot be looked up: ${(cause as Error).message}`, {
          cause,
        });
      });
    const name = stdout.split(':')[0] ?? '';
    // A Unix user whose name is that of the administrator's account is not him.
    if (!new RegExp(userPattern).test(name) || name === administrator)
      throw new WspError('unauthorized', `the Unix user ${uid} has no name that can be used here`);
    return name;
  }

  #word(): string {
    return Buffer.from(this.#parts.random.bytes(24)).toString('base64url');
  }

  #forgetOld(): void {
    const now = this.#parts.clock.now();
    for (const [claim, { until, path }] of this.#claims) {
      if (until > now) return;
      this.#claims.delete(claim);
      void unlink(path).catch(() => undefined);
    }
  }
}

async function ownerOf({ path, content }: Claim): Promise<number> {
  const refused = (why: string): WspError => new WspError('unauthorized', `the login file ${path} ${why}`);
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((cause: unknown) => {
    throw refused(`cannot be read: ${(cause as Error).message}`);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.nlink !== 1) throw refused('is not an ordinary file with one name');
    if ((stat.mode & 0o022) !== 0) throw refused('can be written by others');
    if (stat.size !== content.length || (await file.readFile('utf8')) !== content)
      throw refused('does not hold what it should');
    return stat.uid;
  } finally {
    await file.close();
  }
}

function notHere(way: string): WspError {
  return new WspError('not_found', `this service takes no login ${way}`, {
    hint: 'GET /v1/login says which it takes; or use a token',
  });
}

function reasonOf(stderr: string, stdout: string): string {
  const status = /^STATUS: +(?<status>.*)$/m.exec(stdout)?.groups?.['status'];
  return status ?? (stderr.trim().split('\n')[0] || 'it says no more');
}
