import {
  chmodSync,
  chownSync,
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
import { systemProcesses } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { type FileChallenge, Logins } from './logins.ts';

/** Who can say that he is somebody else? Needs root for files of other users. */

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

const loginsHere = (): Logins =>
  new Logins({
    directory,
    mungeSocket: '/nowhere/munge',
    clock,
    random: systemRandom,
    processes: systemProcesses,
    ownUid: 4_000_000,
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

  it('is good once, and for half a minute', async () => {
    const { claim } = written();
    await logins.finish(claim);
    expect(await refusal(claim)).toMatchObject({ code: 'unauthorized' });
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
      'can be written by others',
      ({ path, content }: FileChallenge) => {
        writeFileSync(path, content);
        chmodSync(path, 0o666);
      },
      /written by others/,
    ],
  ])('is none when the file %s', async (_what, make, words) => {
    const challenge = logins.begin();
    make(challenge);
    expect(await refusal(challenge.claim)).toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(words),
    });
  });

  it('keeps no more than a bounded number of claims', () => {
    for (let count = 0; count < 1_000; count += 1) logins.begin();
    expect(() => logins.begin()).toThrow('too many logins at once');
  });

  it('begins with a directory where everybody can put something and nobody can look', async () => {
    writeFileSync(join(directory, 'left-over'), '');
    await loginsHere().open();
    expect(readdirSync(directory)).toEqual([]);
    expect(statSync(directory).mode & 0o7777).toBe(0o1733);
  });
});

describe('a login by MUNGE', () => {
  it('is refused when munged does not answer', async () => {
    expect(await logins.munge('MUNGE:AwQD:').catch((error: unknown) => error)).toMatchObject({
      code: 'unauthorized',
    });
  });
});
