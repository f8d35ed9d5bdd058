import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type HelperDirectory,
  helperDirectory,
  isOnNode,
  type NicEntry,
  slotsOn,
  undoJournal,
  type UndoJournal,
} from './journal.ts';
import { startTimeOf } from './proc.ts';

const nic = (tap: string): NicEntry => ({ kind: 'nic', tap, bridge: 'wbtest', address: '10.91.0.1' });

let place: string;
const key = { slotId: 'slot-aaaaaaaaaa', uid: 1_000 };

let at: HelperDirectory;
let file: string;
let journal: UndoJournal;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-journal-'));
  at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  file = join(at.slots, 'slot-aaaaaaaaaa.1000', 'undo.jsonl');
  journal = undoJournal(at, key);
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

describe('the journal of a slot, as a file', () => {
  const directory = { kind: 'directory', path: '/work/files', uid: 1_000, gid: 100 } as const;

  it('is only root’s to read, and is what another helper of the slot goes on with', () => {
    expect([journal.entries(), slotsOn(at), isOnNode(at, key)]).toEqual([[], [], false]);
    journal.append(nic('wttest1'));
    const modes = [at.slots, join(file, '..'), file].map(path => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o700, 0o700, 0o600]);
    expect([slotsOn(at), isOnNode(at, key), isOnNode(at, { ...key, uid: 1_001 })]).toEqual([
      [key],
      true,
      false,
    ]);
    const next = undoJournal(at, key);
    next.append(nic('wttest2'));
    expect([next.entries(), journal.entries()]).toEqual([
      [nic('wttest1'), nic('wttest2')],
      [nic('wttest1'), nic('wttest2')],
    ]);
  });

  it('leaves out a line that a crash has torn, and begins the next on a line of its own', () => {
    journal.append(nic('wttest1'));
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"kind":"nic","tap":"wtt`);
    const next = undoJournal(at, key);
    next.append(nic('wttest2'));
    next.append(nic('wttest3'));
    expect(next.entries()).toEqual(['wttest1', 'wttest2', 'wttest3'].map(nic));
    expect(undoJournal(at, key).entries()).toEqual(next.entries());
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(5);
  });

  it.each(['{"kind":"cgroup"}', '{}', 'null', '7'])('is not believed with an entry %s', line => {
    journal.append(nic('wttest1'));
    writeFileSync(file, `${readFileSync(file, 'utf8')}${line}\n`);
    expect(() => journal.entries()).toThrow(`${file} has an entry of an unknown kind: ${line}`);
    expect(() => undoJournal(at, key).entries()).toThrow(
      expect.objectContaining({ code: 'journal_damaged' }),
    );
  });

  it('is not begun anew when somebody else has undone the slot, but by who has done so', () => {
    journal.append(nic('wttest1'));
    const other = undoJournal(at, key);
    expect(other.remove(other.entries())).toBe(true);
    expect([existsSync(file), slotsOn(at)]).toEqual([false, []]);
    expect(() => journal.append(nic('wttest2'))).toThrow(expect.objectContaining({ code: 'slot_undone' }));
    expect(existsSync(file)).toBe(false);
    other.append(nic('wttest2'));
    expect(other.entries()).toEqual([nic('wttest2')]);
  });

  it('has a directory on disk as well, for as long', () => {
    journal.append(nic('wttest1'));
    expect(at.records.all()).toEqual([]);
    journal.append(directory);
    const { kind: _, ...kept } = directory;
    expect(at.records.all()).toEqual([{ key, directory: kept }]);
    journal.remove(journal.entries());
    expect(at.records.all()).toEqual([]);
  });

  it('leaves a record that it has never had to a journal that has', () => {
    at.records.keep(key, { path: '/work/files', uid: 1_000, gid: 100 });
    expect(journal.remove([])).toBe(true);
    expect(at.records.all()).toHaveLength(1);
  });

  it('becomes shorter when much in it has come and gone', () => {
    const living = { kind: 'process', pid: process.pid, startTime: startTimeOf(process.pid) ?? '' } as const;
    const lines = [nic('wttest1'), directory, living, { ...living, startTime: '1' }];
    for (let count = 0; lines.length < 4_095; count += 1)
      lines.push(nic('wttest2'), { kind: 'detached', tap: 'wttest2' } as never);
    journal.append(nic('wttest1'));
    writeFileSync(file, lines.map(line => `${JSON.stringify(line)}\n`).join(''));
    expect(lines).toHaveLength(4_096);
    const stays = [nic('wttest1'), directory, living, nic('wttest3')];
    journal.append(nic('wttest3'));
    expect(journal.entries()).toEqual(stays);
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(4);
    expect(undoJournal(at, key).entries()).toEqual(stays);
    journal.append(nic('wttest4'));
    expect([existsSync(`${file}.new`), undoJournal(at, key).entries().length]).toEqual([false, 5]);
  });
});

it('what the helper keeps has the node’s name and the state directory’s', () => {
  expect(at).toMatchObject({
    name: 'n01',
    node: join(place, 'state/n01'),
    slots: join(place, 'state/n01/slots'),
    bridges: join(place, 'state/n01/bridges'),
    mark: `workspace-pilot:${place}/state/n01`,
  });
  expect(at.dhcpPidOf('wbtest')).toBe(join(place, 'state/n01/bridges/wbtest/pid'));
});
