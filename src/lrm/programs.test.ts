import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../platform/clock.ts';
import type { GangRequest } from './lrm.ts';
import { forgetOldest } from './oldest.ts';
import {
  begunJobs,
  keepProgram,
  programFile,
  removeProgram,
  sweepPrograms,
  takeWords,
  wordsFile,
} from './programs.ts';

let place: string;
let directory: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-programs-'));
  directory = join(place, 'deep/programs');
});
afterEach(() => rmSync(place, { recursive: true }));

const keep = (jobName: string, program = 'a program'): Promise<string> =>
  keepProgram(directory, { jobName, program } as GangRequest);

describe('the program of a job', () => {
  it('is in a file that its user alone can read, anew each time, and nobody else’s', async () => {
    const path = await keep('wsp-a');
    expect([path, readFileSync(path, 'utf8')]).toEqual([programFile(directory, 'wsp-a'), 'a program']);
    expect([statSync(directory).mode & 0o777, statSync(path).mode & 0o777]).toEqual([0o700, 0o600]);
    writeFileSync(wordsFile(directory, 'wsp-a'), 'of the run before');
    await keep('wsp-a', 'another');
    expect(readFileSync(path, 'utf8')).toBe('another');
    expect(existsSync(wordsFile(directory, 'wsp-a'))).toBe(false);
    // A link in its place leads nowhere.
    writeFileSync(join(place, 'theirs'), 'theirs');
    await removeProgram(directory, 'wsp-a');
    expect(existsSync(path)).toBe(false);
    symlinkSync(join(place, 'theirs'), path);
    await keep('wsp-a', 'mine');
    expect([readFileSync(path, 'utf8'), readFileSync(join(place, 'theirs'), 'utf8')]).toEqual([
      'mine',
      'theirs',
    ]);
    await removeProgram(directory, 'wsp-none');
  });

  it('that cannot be written may be tried again, and is told by its name', async () => {
    writeFileSync(join(place, 'deep'), 'a file');
    await expect(keep('wsp-a')).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('wsp-a'),
    });
  });

  it('is swept when its job is not known any more, unless it is new', async () => {
    const now = systemClock.now();
    for (const [name, ageMs] of [
      ['wsp-old.cjs', 121_000],
      ['wsp-old.said', 121_000],
      ['wsp-known.cjs', 121_000],
      ['wsp-new.cjs', 119_000],
      ['other.cjs', 121_000],
      ['not-wsp-old.cjs', 121_000],
      ['wsp-old.cjs.txt', 121_000],
      ['wsp-old.txt', 121_000],
    ] as const) {
      await keep('wsp-known');
      writeFileSync(join(directory, name), '');
      utimesSync(join(directory, name), (now - ageMs) / 1_000, (now - ageMs) / 1_000);
    }
    await sweepPrograms(directory, new Set(['wsp-known']), now);
    expect(readdirSync(directory).toSorted()).toEqual([
      ...['not-wsp-old.cjs', 'other.cjs', 'wsp-known.cjs', 'wsp-new.cjs', 'wsp-old.cjs.txt', 'wsp-old.txt'],
    ]);
    await sweepPrograms(join(place, 'none'), new Set(), now);
  });
});

describe('the words of a job', () => {
  const say = async (words: string): Promise<void> => {
    await keep('wsp-a');
    writeFileSync(wordsFile(directory, 'wsp-a'), words);
  };

  it.each([
    ['', ''],
    ['one\n', 'one'],
    ['  one  \n\n two\n', 'one; two'],
    ['1\n2\n3\n4\n5\n6\n7\n', '3; 4; 5; 6; 7'],
    [`${'x'.repeat(5_000)}\nlast\n`, `${'x'.repeat(2_000 - 6)}; last`],
  ])('%j are its last ones on one line: %j', async (words, told) => {
    await say(words);
    expect(await takeWords(directory, 'wsp-a')).toBe(told);
    expect(existsSync(wordsFile(directory, 'wsp-a'))).toBe(false);
    expect(await takeWords(directory, 'wsp-a')).toBe('');
  });

  it('are there as soon as it has begun', async () => {
    await say('');
    await keep('wsp-b');
    expect(await begunJobs(directory)).toEqual(new Set(['wsp-a']));
    expect(await begunJobs(join(place, 'none'))).toEqual(new Set());
  });
});

it('a memory that is bounded forgets what it has had for longest', () => {
  const all = new Set(['a', 'b', 'c', 'd']);
  forgetOldest(all, 4);
  expect([...all]).toEqual(['a', 'b', 'c', 'd']);
  forgetOldest(all, 2);
  expect([...all]).toEqual(['c', 'd']);
  forgetOldest(all, 0);
  expect(all.size).toBe(0);
});
