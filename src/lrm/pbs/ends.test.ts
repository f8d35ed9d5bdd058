import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LrmJob } from '../lrm.ts';
import { programFile, wordsFile } from '../programs.ts';
import { learn } from './ends.ts';
import { Memory } from './memory.ts';

let place: string;
let memory: Memory;
const home = process.env['HOME'];
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-ends-'));
  process.env['HOME'] = place;
  memory = new Memory();
});
afterEach(() => {
  process.env['HOME'] = home;
  rmSync(place, { recursive: true });
});

const job = (state: LrmJob['state']): LrmJob => ({
  jobId: '7.head',
  jobName: 'wsp-a',
  state,
  reason: 'exit code 1',
  nodes: [],
});

it.each([
  ['failed', 'no disk\n', 'exit code 1: no disk'],
  ['failed', '', 'exit code 1'],
  ['timeout', 'no disk\n', 'exit code 1'],
  ['completed', '', 'exit code 1'],
] as const)(
  'a job that is %s and said %j is told with: %j; nothing of it is left',
  async (state, words, reason) => {
    const [program, said] = [programFile(place, 'wsp-a'), wordsFile(place, 'wsp-a')];
    const kept = join(place, 'wsp-a.o7');
    const all = [program, said, kept];
    for (const path of [program, kept]) writeFileSync(path, '');
    writeFileSync(said, words);
    await learn(memory, place, job(state));
    expect(memory.endOf('7.head')).toEqual({ ...job(state), reason });
    expect(all.filter(path => existsSync(path))).toEqual([]);
    // What is known is not asked for again.
    writeFileSync(said, 'later words');
    await learn(memory, place, job('failed'));
    expect([memory.endOf('7.head')?.reason, existsSync(said)]).toEqual([reason, true]);
  },
);
