import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, test } from 'vitest';
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

test('security 19 a log that is written to without end has its newest lines, and never more than the limit', async () => {
  const path = join(place(), 'log');
  const write = linesTo(path, 1_000);
  for (let line = 0; line < 200; line += 1) {
    write(`line ${line}\n`);
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
    expect((statIfThere(`${path}.1`)?.size ?? 0) + (statIfThere(path)?.size ?? 0)).toBeLessThanOrEqual(1_000);
  }
  const kept = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8');
  expect(kept).toMatch(/line 198\nline 199\n$/);
  expect(kept.length).toBeGreaterThan(500);
});

it('a file that cannot be written is no error', async () => {
  const path = join(place(), 'missing', 'log');
  linesTo(path)('lost\n');
  // An error would end this process here.
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
  expect(existsSync(path)).toBe(false);
});
