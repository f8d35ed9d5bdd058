import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { notePilot, removeOldSlots } from './old-slots.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-old-slots-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const now = 1_800_000_000_000;
const hourMs = 3_600_000;
const idOf = (index: number): string =>
  `slot-${String(index)
    .padStart(10, '0')
    .replace(/\d/g, digit => 'abcdefghij'[Number(digit)] ?? '')}`;
const own = idOf(0);

/** A slot whose pilot wrote its last line so many hours ago. */
function slot(index: number, hoursAgo: number): string {
  const path = join(directory, idOf(index));
  mkdirSync(path);
  writeFileSync(join(path, 'notifications.jsonl'), '');
  writeFileSync(join(path, 'pilot.log'), '{}\n');
  const at = (now - hoursAgo * hourMs) / 1_000;
  utimesSync(join(path, 'pilot.log'), at, at);
  return path;
}

it('report E what ended slots have left is kept for a time and a number', async () => {
  slot(0, 100);
  for (const index of [1, 2, 3, 4, 5]) slot(index, index);
  const removed = await removeOldSlots(directory, own, { slots: 3, forMs: 2.5 * hourMs }, now);
  expect(removed.toSorted()).toEqual([idOf(3), idOf(4), idOf(5)]);
  expect(readdirSync(directory).toSorted()).toEqual([own, idOf(1), idOf(2)]);
  expect(await removeOldSlots(directory, own, { slots: 1, forMs: 100 * hourMs }, now)).toEqual([idOf(2)]);
  expect(await removeOldSlots(directory, own, { slots: 0, forMs: 100 * hourMs }, now)).toEqual([idOf(1)]);
  expect(readdirSync(directory)).toEqual([own]);
});

it('report E a slot whose pilot lives stays, and one that is not undone; so does what is no slot', async () => {
  const living = slot(1, 1_000);
  await notePilot(living, process.pid);
  const dead = slot(2, 1_000);
  writeFileSync(join(dead, 'pilot'), `${process.pid} 1`);
  mkdirSync(join(slot(3, 1_000), 'vms'));
  mkdirSync(join(directory, 'mine'));
  const empty = join(directory, idOf(4));
  mkdirSync(empty);
  utimesSync(empty, 1, 1);
  slot(5, 1 / 120);
  expect(await removeOldSlots(directory, own, { slots: 0, forMs: 1 }, now)).toEqual(
    expect.arrayContaining([idOf(2), idOf(4)]),
  );
  expect(readdirSync(directory).toSorted()).toEqual(['mine', idOf(1), idOf(3), idOf(5)].toSorted());
});

it('report E of many, one start removes a hundred, the oldest', async () => {
  for (let index = 1; index <= 130; index += 1) slot(index, index);
  expect(await removeOldSlots(directory, own, { slots: 10, forMs: 1_000 * hourMs }, now)).toHaveLength(100);
  expect([existsSync(join(directory, idOf(30))), existsSync(join(directory, idOf(31)))]).toEqual([
    true,
    false,
  ]);
});
