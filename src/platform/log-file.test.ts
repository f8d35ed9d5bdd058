import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { linesTo } from './log-file.ts';
import { statIfThere } from './stat.ts';

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-log-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

it('a log’s lines are in its file, in order, once what was in hand is done', async () => {
  const path = join(place(), 'log');
  const write = linesTo(path);
  write('one\n');
  write('two\n');
  await expect.poll(() => statIfThere(path)?.size).toBe(8);
  write('three\n');
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('one\ntwo\nthree\n');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('a file that cannot be written is no error', async () => {
  const path = join(place(), 'missing', 'log');
  linesTo(path)('lost\n');
  // An error would end this process here.
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
  expect(existsSync(path)).toBe(false);
});
