import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, test } from 'vitest';
import { RecentFile } from './recent-file.ts';
import { statIfThere } from './stat.ts';

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-recent-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'log');
}

const sizeOf = (path: string): number => statIfThere(path)?.size ?? 0;

test('security 19 the newest part of what never ends is kept, and never more than the limit', async () => {
  const path = place();
  const limitBytes = 20_000;
  for (let run = 0; run < 3; run += 1) {
    const file = new RecentFile(path, limitBytes);
    for (let line = 0; line < 1_000; line += 1) {
      file.write(Buffer.from(`run ${run} line ${line} ${'x'.repeat(50)}\n`));
      // As from a guest: some at once, some while the disk is at work.
      if (line % 10 === 0) await new Promise(resolve => setImmediate(resolve));
      // In this order, because it may be renamed in between.
      expect(sizeOf(`${path}.1`) + sizeOf(path)).toBeLessThanOrEqual(limitBytes);
    }
    await file.end();
  }
  const kept = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8');
  expect(kept).toMatch(/run 2 line 999 x+\n$/);
  expect(kept.length).toBeGreaterThanOrEqual(limitBytes / 2);
  const lines = kept.split('\n').slice(1, -1);
  expect(lines).toEqual(lines.toSorted((one, other) => numberIn(one) - numberIn(other)));
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

function numberIn(line: string): number {
  return Number(line.split(' ')[3]);
}

it('goes on with what is there, and writes nothing after its end', async () => {
  const path = place();
  writeFileSync(path, 'before\n');
  const file = new RecentFile(path, 1_000);
  file.write(Buffer.from('one\n'));
  await file.end();
  file.write(Buffer.from('late\n'));
  await file.end();
  expect(readFileSync(path, 'utf8')).toBe('before\none\n');
});

it('follows no link, and a file that cannot be written is no error', async () => {
  const path = place();
  writeFileSync(`${path}-target`, 'mine');
  symlinkSync(`${path}-target`, path);
  for (const where of [path, join(path, 'missing', 'log')]) {
    const file = new RecentFile(where, 1_000);
    file.write(Buffer.from('lost\n'));
    await file.end();
  }
  expect(readFileSync(`${path}-target`, 'utf8')).toBe('mine');
});
