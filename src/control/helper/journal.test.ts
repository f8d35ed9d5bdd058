import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { helperDirectory, type NicEntry, undoJournal, type UndoJournal } from './journal.ts';

const nic = (tap: string): NicEntry => ({ kind: 'nic', tap, bridge: 'wbtest', address: '10.91.0.1' });

let place: string;
let journal: UndoJournal;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-journal-'));
  const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  journal = undoJournal(at, { slotId: 'slot-aaaaaaaaaa', uid: 1_000 });
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe('the journal of a slot', () => {
  it('stays when more was written than has been undone', () => {
    journal.append(nic('wttest1'));
    const undone = journal.entries();
    expect(undone).toHaveLength(1);
    const before = [...undone];
    journal.append(nic('wttest2'));
    expect(journal.remove(before)).toBe(false);
    expect(journal.entries()).toEqual([nic('wttest1'), nic('wttest2')]);
    expect(journal.remove(journal.entries())).toBe(true);
    expect(journal.entries()).toEqual([]);
  });

  it('forgets the interface that was taken away, and no other', () => {
    for (const tap of ['wttest1', 'wttest2', 'wttest3']) journal.append(nic(tap));
    journal.append({ kind: 'detached', tap: 'wttest2' });
    journal.append({ kind: 'detached', tap: 'wttest9' });
    expect(journal.entries()).toEqual([nic('wttest1'), nic('wttest3')]);
  });
});
