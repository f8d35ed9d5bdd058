import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeUnlessThere } from './directory.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsp-directory-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it('a directory is made with its mode, or was made by another at the same time, and is left as it is', () => {
  makeUnlessThere(join(root, 'made'), 0o711);
  expect(statSync(join(root, 'made')).mode & 0o777).toBe(0o711);
  mkdirSync(join(root, 'theirs'), { mode: 0o750 });
  makeUnlessThere(join(root, 'theirs'), 0o711);
  expect(statSync(join(root, 'theirs')).mode & 0o777).toBe(0o750);
});

it('a directory whose parent is missing is not made', () => {
  expect(() => makeUnlessThere(join(root, 'a/b'), 0o711)).toThrow(/ENOENT/);
});
