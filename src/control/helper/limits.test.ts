import { describe, expect, it } from 'vitest';
import type { UndoEntry, UndoJournal } from './journal.ts';
import { requireRoom } from './journal.ts';
import { startTimeOf } from './proc.ts';

const journalOf = (entries: readonly UndoEntry[]): UndoJournal => ({
  key: { slotId: 'slot-aaaaaaaaaa', uid: 1_000 },
  append: () => undefined,
  entries: () => entries,
  remove: () => false,
});
const living = { kind: 'process', pid: process.pid, startTime: startTimeOf(process.pid) ?? '' } as const;
const dead = { ...living, startTime: '0' };
const nic = { kind: 'nic', tap: 'wttest1', bridge: 'wbtest', address: '10.91.0.1' } as const;
const times = (count: number, entry: UndoEntry): UndoEntry[] => Array.from({ length: count }, () => entry);

describe('security 14 how much a slot may have on a node', () => {
  it('is counted of what is still there: a slot whose VMs come and go is never full', () => {
    requireRoom(journalOf(times(4_096, dead)), 'process');
    requireRoom(journalOf([...times(4_095, living), ...times(4_096, dead)]), 'process');
    expect(() => requireRoom(journalOf([...times(4_096, dead), ...times(4_096, living)]), 'process')).toThrow(
      'at most 4096 processes',
    );
  });

  it('is counted of each kind by itself', () => {
    requireRoom(journalOf([...times(511, nic), ...times(4_096, living)]), 'nic');
    expect(() => requireRoom(journalOf(times(512, nic)), 'nic')).toThrow('at most 512 interfaces');
    requireRoom(journalOf(times(512, nic)), 'process');
  });
});
