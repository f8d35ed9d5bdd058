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

it('security 7: does not grow with what is acknowledged, and continues the numbering all the same', () => {
  const journal = fileJournal(path);
  const reason = { code: 'context_failed', message: 'x'.repeat(400) };
  const report = { vmId: 'ws-aaaaaaaaaa.w-0', state: 'running', context: 'error', reason } as const;
  for (let at = 1; at <= 5_000; at++) {
    journal.append(at, { kind: 'vm', report });
    if (at > 3) journal.acknowledge(at - 3);
  }
  expect(statSync(path).size).toBeLessThan(300_000);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(
    fileJournal(path)
      .unacknowledged()
      .map(({ seq }) => seq)
      .slice(-3),
  ).toEqual([4_998, 4_999, 5_000]);
  journal.acknowledge(5_000);
  expect(fileJournal(path).append(1, { kind: 'node', state: 'releasing' }).seq).toBe(5_001);
});

it('security 7: keeps its last line, and with it its numbers, when all is acknowledged at once', () => {
  const journal = fileJournal(path);
  const reason = { code: 'context_failed', message: 'x'.repeat(400) };
  const report = { vmId: 'ws-aaaaaaaaaa.w-0', state: 'running', context: 'error', reason } as const;
  for (let at = 1; at <= 1_000; at++) journal.append(at, { kind: 'vm', report });
  journal.acknowledge(1_000);
  expect(statSync(path).size).toBeLessThan(1_000);
  expect(fileJournal(path).append(1, { kind: 'node', state: 'releasing' }).seq).toBe(1_001);
});

it('security 7: is written anew only when that frees something', () => {
  const journal = fileJournal(path);
  const report = { vmId: 'ws-aaaaaaaaaa.w-0', state: 'running', context: 'ok' } as const;
  for (let at = 1; at <= 4_000; at++) journal.append(at, { kind: 'vm', report });
  const inode = (): number => statSync(path).ino;
  journal.acknowledge(1);
  const before = inode();
  for (let seq = 2; seq <= 1_000; seq++) journal.acknowledge(seq);
  expect(inode()).toBe(before);
  expect(fileJournal(path).unacknowledged().at(-1)?.seq).toBe(4_000);
});
