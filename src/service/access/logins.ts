import { createHmac, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import type { Random } from '../../platform/random.ts';
import { type FileChallengeView, type LoginWaysView, userPattern } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { mungeForm } from '../../protocol/login.ts';
import { Shares } from './shares.ts';
import { version } from '../../platform/version.ts';

/**
 * Logins of Unix users with no password. Node cannot read a socket's peer credentials (SO_PEERCRED), so the file system answers for who somebody is:
 *
 *   begin ─► claim (to the caller alone), path and content ─► they write the file, as themselves ─► finish(claim): its owner is who they are
 *
 * or MUNGE does (munge(7)), from any host of its realm:
 *
 *   ways ─► nonce, our uid ─► they sign the name that they reach us by and the nonce, for our eyes only ─► munge(credential)
 *
 * Invariants: the file's name cannot be guessed or listed, it has one link, nobody but its owner
 * can write it, and it holds what we said: a file that its owner did not write just now is not
 * taken. A credential is for us: what was made for another service, or can be read by one, is none
 * here, so who stands between gets nothing. Claims and nonces are good once, for `goodMs`, and are
 * not kept: name and content are made of the claim and a secret key, so nobody can fill a list of
 * them. Who guesses a claim knows no name. If we crash: claims and nonces are good no more; files
 * are swept at the next start.
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
  /** The names that this service goes by (`login-names.ts`). */
  readonly names: () => ReadonlySet<string>;
}

/** What the caller writes, and where. */
type Proof = Readonly<Pick<FileChallengeView, 'path' | 'content'>>;

const goodMs = 30_000;
/** Of a claim and a nonce: when they end, and what nobody can guess. */
const timeBytes = 6;
const luckBytes = 18;
/** Questions to the host at once: of a user, or of an address while the user is not known. */
const underWay = { all: 16, each: 4 };
const commandDeadlineMs = 10_000;
/** Anybody may put a file in, nobody may list them, and only its owner (and we) may take one out. */
const directoryMode = 0o1733;
/** The administrator's own account, from the beginning. */
const administrator = 'admin';

/** The logins of one service. */
export class Logins {
  readonly #parts: LoginParts;
  readonly #key: Uint8Array;
  readonly #asking = new Shares('logins are under way', underWay);
  /** Nonces that have been taken, the oldest first, until they would end anyway. */
  readonly #used = new Map<string, number>();

  constructor(parts: LoginParts) {
    this.#parts = parts;
    this.#key = parts.random.bytes(32);
  }

  /** Makes the directory, empty. Rejects with what the file system says. */
  async open(): Promise<void> {
    const { directory } = this.#parts;
    if (directory === null) return;
    await mkdir(directory, { recursive: true });
    await chmod(directory, directoryMode);
    for (const name of await readdir(directory)) await rm(join(directory, name), { force: true });
  }

  /** Which logins there are; of MUNGE's, what the text must be and who alone may read it. */
  ways(): LoginWaysView {
    const { directory, mungeSocket, ownUid } = this.#parts;
    const file = directory !== null;
    if (mungeSocket === null) return { file, munge: null, nonce: null, uid: null };
    return { file, munge: mungeForm, nonce: this.#sealed(this.#fresh()), uid: ownUid };
  }

  /** Throws `WspError` (`not_found`: no such logins here). */
  begin(): FileChallengeView {
    const claim = this.#fresh();
    return { ...this.#wanted(claim), claim: claim.toString('base64url') };
  }

  /** The user who wrote the file. Throws `WspError` (`unauthorized`, `busy`). */
  async finish(text: string): Promise<string> {
    const claim = Buffer.from(text, 'base64url');
    const wanted = this.#wanted(claim);
    const owner = await ownerOf(wanted).catch(async (cause: unknown) => {
      await unlink(wanted.path).catch(() => undefined);
      throw cause;
    });
    // Of two who come with one claim, one takes the file away.
    const isMine = await unlink(wanted.path).then(
      () => true,
      () => false,
    );
    if (!isMine || this.#isOver(claim))
      throw new WspError('unauthorized', 'there is no such login, or it has expired: begin again');
    return this.#userOf(owner);
  }

  /**
   * The user who made the credential, which came from that address. Throws `WspError`
   * (`unauthorized`, `not_found`: no such logins here; `busy`; `failed`).
   */
  async munge(credential: string, address: string): Promise<string> {
    const { mungeSocket } = this.#parts;
    if (mungeSocket === null) throw notHere('with MUNGE');
    const giveBack = this.#asking.take(address);
    const read = await this.#unmunge(mungeSocket, credential).finally(giveBack);
    this.#checkText(read.text, read.restrictedTo);
    return this.#userOf(read.uid);
  }

  /** Who made the credential, who alone can read it, and its text. */
  async #unmunge(socket: string, credential: string) {
    const argv = ['unmunge', '-S', socket, '-k', 'STATUS,UID,UID_RESTRICTION,LENGTH'] as const;
    const { code, stdout, stderr } = await this.#parts.processes
      .run([...argv], { deadlineMs: commandDeadlineMs, input: credential, maxOutputBytes: 64 * 1024 })
      .catch((cause: unknown) => {
        throw new WspError('failed', `unmunge cannot be run: ${(cause as Error).message}`, { cause });
      });
    const [head = '', ...rest] = stdout.split('\n\n');
    const uidOf = (key: string): number | undefined => {
      const told = new RegExp(`^${key}: +\\S* ?\\((?<uid>[0-9]+)\\)$`, 'm').exec(head)?.groups?.['uid'];
      return told === undefined ? undefined : Number(told);
    };
    const uid = uidOf('UID');
    if (code !== 0 || uid === undefined)
      throw new WspError('unauthorized', `MUNGE does not accept the credential: ${reasonOf(stderr, stdout)}`);
    return { uid, restrictedTo: uidOf('UID_RESTRICTION'), text: rest.join('\n\n') };
  }

  /** That it was made for us, for nobody else, and just now. */
  #checkText(text: string, restrictedTo: number | undefined): void {
    const { names, ownUid } = this.#parts;
    const [form, name = '', nonce = '', ...more] = text.split(' ');
    if (text === 'wsp-login' || text === mungeForm)
      throw new WspError('unauthorized', 'this wsp is older than the service and cannot log in to it', {
        hint: `install wsp ${version}, or use a token (WSP_TOKEN)`,
      });
    if (form !== mungeForm || more.length > 0)
      throw new WspError('unauthorized', 'the MUNGE credential was made for something else');
    if (restrictedTo !== ownUid)
      throw new WspError('unauthorized', 'the MUNGE credential can be read by others than this service');
    if (!names().has(name))
      throw new WspError(
        'unauthorized',
        `the MUNGE credential was made for ${name}, which is no name of this service`,
        {
          hint: 'use the URL of the service itself; an administrator can name another one with service.url in the site file',
        },
      );
    const bytes = Buffer.from(nonce, 'base64url');
    if (!isSame(nonce, this.#sealed(bytes)) || this.#isOver(bytes) || this.#used.has(nonce))
      throw new WspError('unauthorized', 'the login took too long, or was made before: begin again');
    this.#used.set(nonce, this.#parts.clock.now() + goodMs);
    this.#forgetUsed();
  }

  /** Root, and whoever the service runs as, have its files in their hands: they are the administrator. */
  async #userOf(uid: number): Promise<string> {
    if (uid === 0 || uid === this.#parts.ownUid) return administrator;
    const giveBack = this.#asking.take(`uid ${uid}`);
    const { stdout } = await this.#parts.processes
      .run(['getent', 'passwd', String(uid)], { deadlineMs: commandDeadlineMs })
      .catch((cause: unknown) => {
        throw new WspError('failed', `the user ${uid} cannot be looked up: ${(cause as Error).message}`, {
          cause,
        });
      })
      .finally(giveBack);
    const name = stdout.split(':')[0] ?? '';
    // A Unix user whose name is that of the administrator's account is not him.
    if (!new RegExp(userPattern).test(name) || name === administrator)
      throw new WspError('unauthorized', `the Unix user ${uid} has no name that can be used here`);
    return name;
  }

  #wanted(claim: Buffer): Proof {
    const { directory } = this.#parts;
    if (directory === null) throw notHere('with a file');
    const word = (what: string): string =>
      this.#mac(what, claim)
        .subarray(0, timeBytes + luckBytes)
        .toString('base64url');
    return { path: join(directory, word('name')), content: word('content') };
  }

  #fresh(): Buffer {
    const bytes = Buffer.alloc(timeBytes + luckBytes);
    bytes.writeUIntBE(this.#parts.clock.now() + goodMs, 0, timeBytes);
    bytes.set(this.#parts.random.bytes(luckBytes), timeBytes);
    return bytes;
  }

  #isOver(bytes: Buffer): boolean {
    return bytes.readUIntBE(0, timeBytes) <= this.#parts.clock.now();
  }

  /** With what shows that it is ours. */
  #sealed(bytes: Buffer): string {
    const luck = bytes.subarray(0, timeBytes + luckBytes);
    return Buffer.concat([luck, this.#mac('nonce', luck)]).toString('base64url');
  }

  #mac(what: string, bytes: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(`${what}:`).update(bytes).digest();
  }

  #forgetUsed(): void {
    const now = this.#parts.clock.now();
    for (const [nonce, until] of this.#used) {
      if (until > now) return;
      this.#used.delete(nonce);
    }
  }
}

async function ownerOf({ path, content }: Proof): Promise<number> {
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

function isSame(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

function notHere(way: string): WspError {
  return new WspError('not_found', `this service takes no login ${way}`, {
    hint: 'use a token (WSP_TOKEN); GET /v1/login says which logins it takes',
  });
}

function reasonOf(stderr: string, stdout: string): string {
  const status = /^STATUS: +(?<status>.*)$/m.exec(stdout)?.groups?.['status'];
  return status ?? (stderr.trim().split('\n')[0] || 'it says no more');
}
