import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CommandResult, type ProcessRunner, systemProcesses } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { mungeForm, mungeText } from '../../protocol/login.ts';
import type { FileChallengeView as FileChallenge } from '../../protocol/access.ts';
import { Logins } from './logins.ts';

/** Who can say that they are somebody else? Needs root for files of other users. */

const nobody = 65_534;
let directory: string;
let clock: ReturnType<typeof createVirtualClock>;
let logins: Logins;
beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), 'wsp-logins-')), 'login');
  clock = createVirtualClock(1_000);
  logins = loginsHere();
  await logins.open();
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

const loginsHere = (processes: ProcessRunner = systemProcesses): Logins =>
  new Logins({
    directory,
    mungeSocket: '/nowhere/munge',
    clock,
    random: systemRandom,
    processes,
    ownUid: 4_000_000,
    names: () => new Set(),
  });
function written(uid = nobody, mode = 0o644): FileChallenge {
  const challenge = logins.begin();
  writeFileSync(challenge.path, challenge.content);
  chownSync(challenge.path, uid, uid);
  chmodSync(challenge.path, mode);
  return challenge;
}
const refusal = (claim: string): Promise<unknown> => logins.finish(claim).catch((error: unknown) => error);

describe('a login by a file', () => {
  it('is of its owner; root and whoever the service runs as are the administrator', async () => {
    expect(await logins.finish(written().claim)).toBe('nobody');
    expect(await logins.finish(written(0).claim)).toBe('admin');
    expect(await logins.finish(written(4_000_000).claim)).toBe('admin');
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is of nobody when the uid has no name', async () => {
    expect(await refusal(written(3_999_999).claim)).toMatchObject({ code: 'unauthorized' });
  });

  it.each(['admin', '../root', 'a b', ''])(
    'is of nobody for a Unix user called %j, who is not whom that would be here',
    async name => {
      const stdout = `${name}:x:65534:65534::/:/bin/sh\n`;
      const run = (): Promise<CommandResult> =>
        Promise.resolve({ code: 0, signal: null, stdout, stderr: '' });
      logins = loginsHere({ run });
      expect(await refusal(written().claim)).toMatchObject({ code: 'unauthorized' });
    },
  );

  it('is good once, and for half a minute', async () => {
    const { claim } = written();
    await logins.finish(claim);
    expect(await refusal(claim)).toMatchObject({ code: 'unauthorized' });
    // Also when it is used twice at once.
    const both = written().claim;
    const outcomes = await Promise.allSettled([logins.finish(both), logins.finish(both)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const late = written();
    await clock.advanceBy(30_001);
    expect(await refusal(late.claim)).toMatchObject({ code: 'unauthorized' });
  });

  it.each([
    ['is not there', () => undefined, /cannot be read/],
    [
      'is a link to a file of somebody else',
      ({ path, content }: FileChallenge) => {
        writeFileSync(join(directory, 'other'), content);
        symlinkSync(join(directory, 'other'), path);
      },
      /cannot be read/,
    ],
    [
      'has another name too',
      ({ path, content }: FileChallenge) => {
        writeFileSync(join(directory, 'other'), content);
        linkSync(join(directory, 'other'), path);
      },
      /one name/,
    ],
    ['is a directory', ({ path }: FileChallenge) => mkdirSync(path), /ordinary file/],
    [
      'holds something else',
      ({ path }: FileChallenge) => writeFileSync(path, 'something else'),
      /does not hold/,
    ],
    [
      'holds something else of the same length',
      ({ path, content }: FileChallenge) => writeFileSync(path, 'x'.repeat(content.length)),
      /does not hold/,
    ],
    [
      'holds more after that',
      ({ path, content }: FileChallenge) => writeFileSync(path, `${content}\n`),
      /does not hold/,
    ],
    [
      'can be written by others',
      ({ path, content }: FileChallenge) => {
        writeFileSync(path, content);
        chmodSync(path, 0o666);
      },
      /written by others/,
    ],
    [
      'can be written by its group',
      ({ path, content }: FileChallenge) => {
        writeFileSync(path, content);
        chmodSync(path, 0o664);
      },
      /written by others/,
    ],
  ])('is none when the file %s', async (what, make, words) => {
    const challenge = logins.begin();
    make(challenge);
    expect(await refusal(challenge.claim)).toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(words),
    });
    if (what !== 'is a directory') expect(existsSync(challenge.path)).toBe(false);
  });

  it('is good until half a minute is over', async () => {
    const [early, late] = [written(), written()];
    await clock.advanceBy(29_999);
    expect(await logins.finish(early.claim)).toBe('nobody');
    await clock.advanceBy(1);
    expect(await refusal(late.claim)).toMatchObject({ code: 'unauthorized' });
  });

  it('has a name and a content that another login has not, which tell nothing of each other', () => {
    const challenges = [logins.begin(), logins.begin()];
    expect(new Set(challenges.flatMap(({ path, content, claim }) => [path, content, claim])).size).toBe(6);
    for (const { path, content } of challenges) {
      expect(path).toMatch(/\/login\/[\w-]{32}$/);
      expect(content).toMatch(/^[\w-]{32}$/);
      expect(path).not.toContain(content);
    }
  });

  it('says when the host cannot tell who that is, and asks it so many times at once', async () => {
    let asked: readonly string[] = [];
    let release = (): void => undefined;
    const held = new Promise<void>(resolve => {
      release = resolve;
    });
    logins = loginsHere({
      run: async argv => {
        asked = argv;
        await held;
        throw new Error('no such program');
      },
    });
    const waiting = Array.from({ length: 4 }, () => refusal(written().claim));
    await expect.poll(() => asked).toEqual(['getent', 'passwd', String(nobody)]);
    await expect.poll(() => refusal(written().claim)).toMatchObject({ code: 'busy' });
    release();
    for (const outcome of await Promise.all(waiting)) expect(outcome).toMatchObject({ code: 'failed' });
    expect(await refusal(written().claim)).toMatchObject({ code: 'failed' });
  });

  it('security 16: is not kept out by others who begin logins without end', async () => {
    for (let count = 0; count < 100_000; count += 1) logins.begin();
    expect(await logins.finish(written().claim)).toBe('nobody');
  });

  it('is no claim that we did not give: its file would have another name', async () => {
    const { claim, path } = written();
    const other = Buffer.from(claim, 'base64url');
    other.writeUIntBE(2_000_000, 0, 6);
    expect(await refusal(other.toString('base64url'))).toMatchObject({ code: 'unauthorized' });
    expect(statSync(path).isFile()).toBe(true);
    expect(await logins.finish(claim)).toBe('nobody');
  });

  it('makes one of two who come with one claim', async () => {
    const { claim } = written();
    const outcomes = await Promise.allSettled([logins.finish(claim), logins.finish(claim)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('begins with a directory where everybody can put something and nobody can look', async () => {
    writeFileSync(join(directory, 'left-over'), '');
    await loginsHere().open();
    expect(readdirSync(directory)).toEqual([]);
    expect(statSync(directory).mode & 0o7777).toBe(0o1733);
  });
});

it('a service that takes no such logins says so, and opens nothing', async () => {
  const parts = {
    clock,
    random: systemRandom,
    processes: systemProcesses,
    ownUid: 1_000,
    names: () => new Set<string>(),
  };
  const none = new Logins({ directory: null, mungeSocket: null, ...parts });
  await none.open();
  expect(none.ways()).toEqual({ file: false, munge: null, nonce: null, uid: null });
  expect(() => none.begin()).toThrow(expect.objectContaining({ code: 'not_found' }));
  await expect(none.finish('x')).rejects.toMatchObject({ code: 'not_found' });
  await expect(none.munge('MUNGE:AwQD:', 'n01')).rejects.toMatchObject({ code: 'not_found' });
  expect(logins.ways()).toMatchObject({ file: true, munge: mungeForm, uid: 4_000_000 });
});

describe('a login by MUNGE', () => {
  it.each([
    [{ code: 1, stdout: 'STATUS: Expired credential (15)\nUID: ann (2000)\n\nx' }, 'unauthorized', /Expired/],
    [
      { code: 0, stdout: 'STATUS: Success (0)\nXUID: ann (2000)\n\nUID: ann (2000)' },
      'unauthorized',
      /Success/,
    ],
    [{ code: 1, stderr: 'no socket\nand more' }, 'unauthorized', /: no socket$/],
    [{ code: 1 }, 'unauthorized', /it says no more/],
    [new Error('not installed'), 'failed', /not installed/],
  ])('is none when unmunge says %j', async (said, code, words) => {
    const ran: unknown[] = [];
    const who = new Logins({
      ...{ directory: null, mungeSocket: '/run/munge', clock, random: systemRandom, ownUid: 1_000 },
      names: () => new Set(),
      processes: {
        run: (argv, { input }) => {
          ran.push([argv, input]);
          return said instanceof Error
            ? Promise.reject(said)
            : Promise.resolve({ signal: null, stdout: '', stderr: '', ...said });
        },
      },
    });
    // None of them takes a place for ever.
    for (let time = 0; time < 6; time++)
      await expect(who.munge('MUNGE:AwQD:', 'n01')).rejects.toMatchObject({
        code,
        message: expect.stringMatching(words),
      });
    const argv = ['unmunge', '-S', '/run/munge', '-k', 'STATUS,UID,UID_RESTRICTION,LENGTH'];
    expect(ran[0]).toEqual([argv, 'MUNGE:AwQD:']);
  });

  it('is refused when munged does not answer', async () => {
    expect(await logins.munge('MUNGE:AwQD:', 'n01').catch((error: unknown) => error)).toMatchObject({
      code: 'unauthorized',
    });
  });

  const service = 'https://head.cluster:8443';
  /** What unmunge says of a credential of ann's. */
  let told: { text: string; restrictedTo?: number };
  const withMunge = (): Logins =>
    new Logins({
      directory: null,
      mungeSocket: '/run/munge',
      clock,
      random: systemRandom,
      ownUid: 1_000,
      names: () => new Set([service, 'http://127.0.0.1:8080@this-boot']),
      processes: {
        run: async ([command]) => ({
          code: 0,
          signal: null,
          stderr: '',
          stdout:
            command === 'unmunge'
              ? `STATUS:          Success (0)\nUID:             ann (2000)\n${told.restrictedTo === undefined ? '' : `UID_RESTRICTION: wsp (${told.restrictedTo})\n`}LENGTH: 1\n\n${told.text}`
              : 'ann:x:2000:2000::/:/bin/sh\n',
        }),
      },
    });
  const outcome = (who: Logins): Promise<unknown> =>
    who.munge('MUNGE:AwQD:', 'n01').catch((cause: unknown) => (cause as Error).message);

  it('is of who made the credential, for this service alone, once', async () => {
    const who = withMunge();
    const { munge, nonce, uid } = who.ways();
    expect([munge, uid]).toEqual([mungeForm, 1_000]);
    told = { text: mungeText(service, nonce ?? ''), restrictedTo: 1_000 };
    expect(await outcome(who)).toBe('ann');
    expect(await outcome(who)).toMatch(/was made before/);
    const other = who.ways().nonce ?? '';
    await clock.advanceBy(29_999);
    expect(await outcome(who)).toMatch(/was made before/);
    told = { text: mungeText(service, other), restrictedTo: 1_000 };
    expect(await outcome(who)).toBe('ann');
    expect(await outcome(who)).toMatch(/was made before/);
  });

  it.each([
    ['is an old client’s', { text: 'wsp-login', restrictedTo: 1_000 }, /this wsp is older than the service/],
    ['is the form alone', { text: mungeForm }, /this wsp is older than the service/],
    ['is a batch job’s', { text: 'job 42' }, /made for something else/],
    ['has more in it', { text: `${mungeText(service, 'NONCE')} x`, restrictedTo: 1_000 }, /something else/],
    ['can be read by all', { text: mungeText(service, 'NONCE') }, /can be read by others/],
    ['can be read by another', { text: mungeText(service, 'NONCE'), restrictedTo: 1_001 }, /read by others/],
    [
      'is for another URL',
      { text: mungeText('https://rogue.cluster:8443', 'NONCE'), restrictedTo: 1_000 },
      /made for https:\/\/rogue.cluster:8443, which is no name/,
    ],
    [
      'is for the loopback of another host',
      { text: mungeText('http://127.0.0.1:8080@other-boot', 'NONCE'), restrictedTo: 1_000 },
      /is no name of this service/,
    ],
    [
      'has a nonce of its own',
      { text: mungeText(service, 'x'.repeat(75)), restrictedTo: 1_000 },
      /begin again/,
    ],
    ['has no nonce', { text: mungeText(service, ''), restrictedTo: 1_000 }, /begin again/],
  ])('security 6: is none when the credential %s', async (_what, credential, words) => {
    const who = withMunge();
    told = { ...credential, text: credential.text.replace('NONCE', who.ways().nonce ?? '') };
    expect(await outcome(who)).toMatch(words);
  });

  it('security 6: is none with the nonce of another service, or of half a minute ago', async () => {
    const who = withMunge();
    told = { text: mungeText(service, withMunge().ways().nonce ?? ''), restrictedTo: 1_000 };
    expect(await outcome(who)).toMatch(/begin again/);
    told = { text: mungeText(service, who.ways().nonce ?? ''), restrictedTo: 1_000 };
    await clock.advanceBy(30_001);
    expect(await outcome(who)).toMatch(/begin again/);
  });

  it('security 16: leaves places for others while many come from one address', async () => {
    const who = withMunge();
    let letGo = (): void => undefined;
    const held = new Promise<void>(resolve => {
      letGo = resolve;
    });
    told = { text: 'x' };
    const parts = { run: () => held.then(() => ({ code: 1, signal: null, stdout: '', stderr: 'no' })) };
    const slow = new Logins({
      directory: null,
      mungeSocket: '/run/munge',
      clock,
      random: systemRandom,
      ownUid: 1_000,
      names: () => new Set(),
      processes: parts,
    });
    const all = Array.from({ length: 4 }, () => slow.munge('MUNGE:AwQD:', 'n01').catch(() => undefined));
    await expect(slow.munge('MUNGE:AwQD:', 'n01')).rejects.toMatchObject({ code: 'busy' });
    const other = slow.munge('MUNGE:AwQD:', 'n02');
    letGo();
    await expect(other).rejects.toMatchObject({ code: 'unauthorized' });
    await Promise.all(all);
    expect(await outcome(who)).toMatch(/something else/);
  });
});
