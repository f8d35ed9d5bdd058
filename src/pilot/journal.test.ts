import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fileJournal } from './journal.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-journal-'));
  path = join(directory, 'notifications.jsonl');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('keeps what is not acknowledged, in order, and only its owner can read the file', () => {
  const journal = fileJournal(path);
  journal.append(1, { kind: 'node', state: 'reserving' });
  journal.append(2, { kind: 'node', state: 'reserved' });
  journal.acknowledge(1);
  expect(journal.unacknowledged().map(entry => entry.seq)).toEqual([2]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('keeps what the disk does not take', () => {
  const journal = fileJournal(join(directory, 'missing', 'notifications.jsonl'));
  expect(journal.append(1, { kind: 'node', state: 'reserving' }).seq).toBe(1);
  expect(journal.append(2, { kind: 'node', state: 'reserved' }).seq).toBe(2);
  expect(journal.unacknowledged().map(entry => entry.seq)).toEqual([1, 2]);
});

it('continues the numbering of a pilot that was killed, ignoring its torn last line', () => {
  fileJournal(path).append(1, { kind: 'node', state: 'reserving' });
  appendFileSync(path, '{"type":"notification","seq":2,"at"');
  const next = fileJournal(path);
  expect(next.unacknowledged().map(entry => entry.seq)).toEqual([1]);
  expect(next.append(5, { kind: 'node', state: 'reserved' }).seq).toBe(2);
  // The torn line must not swallow the new one.
  expect(
    fileJournal(path)
      .unacknowledged()
      .map(entry => entry.seq),
  ).toEqual([1, 2]);
});
