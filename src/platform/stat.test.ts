import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lstatIfThere, statIfThere } from './stat.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-stat-'));
  writeFileSync(join(directory, 'file'), '');
  symlinkSync('nothing', join(directory, 'link'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it.each([
  ['statIfThere', statIfThere],
  ['lstatIfThere', lstatIfThere],
])('report I %s tells a path below a file from one where nothing is', (_name, look) => {
  expect(look(join(directory, 'file'))?.isFile()).toBe(true);
  expect(look(join(directory, 'none'))).toBeUndefined();
  expect(() => look(join(directory, 'file/below'))).toThrow('ENOTDIR');
});

it('looks at what a link points to, or at the link itself', () => {
  expect(statIfThere(join(directory, 'link'))).toBeUndefined();
  expect(lstatIfThere(join(directory, 'link'))?.isSymbolicLink()).toBe(true);
});
