import { fstatSync, mkdtempSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { appendDurably, syncDirectoryOf, writeDurably } from './durable.ts';

/** What was brought to disk, in order: the inodes of files and directories; and a disk that is full. */
const disk = vi.hoisted(() => ({ synced: [] as number[], isFull: false }));
vi.mock('node:fs', async original => {
  const real = await original<typeof import('node:fs')>();
  return {
    ...real,
    fsyncSync: (file: number) => {
      disk.synced.push(fstatSync(file).ino);
      real.fsyncSync(file);
    },
    writeFileSync: (file: number, text: string) => {
      if (!disk.isFull) return real.writeFileSync(file, text);
      writeSync(file, text.slice(0, 2));
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    },
  };
});

let place: string;
let path: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-durable-'));
  path = join(place, 'file');
  disk.isFull = false;
  disk.synced.length = 0;
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const ino = (of: string): number => statSync(of).ino;

it('a file is on disk with its content, then with its name; what is added to it has that name already', () => {
  writeDurably(path, 'long before');
  expect(disk.synced.splice(0)).toEqual([ino(path), ino(place)]);
  writeDurably(path, 'one\n');
  disk.synced.length = 0;
  appendDurably(path, 'two\n');
  expect(disk.synced.splice(0)).toEqual([ino(path)]);
  expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['one\ntwo\n', 0o600]);
  syncDirectoryOf(path);
  expect(disk.synced).toEqual([ino(place)]);
});

it('what was written in part is taken back, and thrown', () => {
  writeDurably(path, 'one\n');
  disk.isFull = true;
  expect(() => appendDurably(path, 'two\n')).toThrow('no space');
  expect(readFileSync(path, 'utf8')).toBe('one\n');
});
