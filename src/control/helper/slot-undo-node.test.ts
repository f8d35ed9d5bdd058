import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImitatedNode, nicOf } from '../../../test/support/imitated-node.ts';
import { startChild } from '../../platform/children.ts';
import { deleteRulesOf } from '../network/filter.ts';
import { type NicEntry, undoJournal, type UndoJournal } from './journal.ts';
import { startTimeOf } from './proc.ts';
import { detachNics, forgottenSlots, removeForgotten, undoSlot } from './slot-undo.ts';

/** What the undo of a slot does to an imitated node. */

const interfaces = vi.hoisted(() => new Set<string>());
vi.mock('../network/interfaces.ts', () => ({ interfaceNames: () => new Set(interfaces) }));

const ownUid = process.getuid?.() ?? 0;
const key = { slotId: 'slot-aaaaaaaaaa', uid: ownUid };

let node: ImitatedNode;
let journal: UndoJournal;
beforeEach(() => {
  node = new ImitatedNode(interfaces);
  journal = undoJournal(node.at, key);
});
afterEach(() => node.remove());

const rules = (...names: readonly string[]): string[] =>
  names.map(deleteRulesOf).join('').trimEnd().split('\n');

/** A VM's interface, as the helper makes it. */
async function attached(number: number, bridge = 'wbtest'): Promise<NicEntry> {
  const nic = nicOf(number);
  await node.bridges.join({ ...nic, bridge: { ...nic.bridge, name: bridge } }, 'one', key);
  interfaces.add(nic.tap);
  node.taken();
  return { kind: 'nic', tap: nic.tap, bridge, address: nic.address };
}

describe('interfaces that are taken away', () => {
  it('are so with one program, their filters with another, and their bridges with the last ones', async () => {
    const entries = [await attached(1, 'wbone'), await attached(2, 'wbone'), await attached(3, 'wbtwo')];
    await detachNics(entries, key, node);
    const ran = node.taken();
    expect(ran.slice(0, 7)).toEqual([
      'ip -force -batch -',
      ...[1, 2, 3].map(number => `link del dev wttest${number}`),
      ...['10.91.0.1/32 dev wbone', '10.91.0.2/32 dev wbone', '10.91.0.3/32 dev wbtwo'].map(
        route => `route del ${route}`,
      ),
    ]);
    expect(ran.slice(7, 26)).toEqual(['nft -f -', ...rules('wttest1', 'wttest2', 'wttest3')]);
    expect([node.bridges.names(), [...interfaces]]).toEqual([[], ['lo', 'eth1']]);
    await detachNics(entries, key, node);
    expect(node.taken()).toEqual([]);
  });

  it('may be gone already, and their bridge too', async () => {
    const entry = await attached(1);
    interfaces.delete('wttest1');
    interfaces.delete('wbtest');
    await detachNics([entry], key, node);
    expect(node.taken()).toEqual(['nft -f -', ...rules('wttest1'), 'nft -f -', ...rules('wbtest')]);
    expect(node.bridges.names()).toEqual([]);
  });

  it('keep their filter and their bridge while they cannot be deleted', async () => {
    const entries = [await attached(1), await attached(2)];
    node.failsAt = 'link del dev wttest1';
    await expect(detachNics(entries, key, node)).rejects.toThrow('wttest1, wttest2 cannot be deleted');
    expect(node.taken().filter(line => line.startsWith('nft'))).toEqual([]);
    expect(node.bridges.members('wbtest')).toHaveLength(2);
  });
});

describe('the undo of a slot', () => {
  it('goes on after what it cannot undo, says all of that, and keeps the journal', async () => {
    const entry = await attached(1);
    const files = node.directory('work/files');
    journal.append({ kind: 'directory', path: files, uid: ownUid, gid: 7 });
    journal.append(entry);
    node.failsAt = 'wttest1';
    await expect(undoSlot(journal, node)).rejects.toMatchObject({
      code: 'undo_failed',
      message: 'not undone: interfaces: wttest1 cannot be deleted',
    });
    expect([existsSync(files), journal.entries().length]).toEqual([false, 2]);
    node.failsAt = 'rm -rf';
    node.directory('work/files');
    await expect(undoSlot(journal, node)).rejects.toThrow(/^not undone: .*work\/files: rm -rf .*: no$/);
    node.failsAt = undefined;
    await undoSlot(journal, node);
    expect([existsSync(files), journal.entries(), node.at.records.all()]).toEqual([false, [], []]);
  });

  it('removes directories last, as whose they are, and only those that are there', async () => {
    const [own, theirs] = [node.directory('own'), node.directory('theirs')];
    journal.append({ kind: 'directory', path: own, uid: ownUid, gid: 7 });
    journal.append({ kind: 'directory', path: theirs, uid: 64_931, gid: 64_932 });
    journal.append({ kind: 'directory', path: join(node.place, 'gone'), uid: ownUid, gid: 7 });
    journal.append(await attached(1));
    await undoSlot(journal, node);
    expect(node.taken().slice(-2)).toEqual([
      `setpriv --reuid=64931 --regid=64932 --clear-groups rm -rf --one-file-system -- ${theirs}`,
      `rm -rf --one-file-system -- ${own}`,
    ]);
  });

  it('leaves a process that is not its user’s, and one that has another’s number by now', async () => {
    const child = await startChild(['sleep', 'infinity'], { detached: true });
    const startTime = startTimeOf(child.pid) ?? '';
    const theirs = undoJournal(node.at, { ...key, uid: 64_931 });
    theirs.append({ kind: 'process', pid: child.pid, startTime });
    await undoSlot(theirs, node);
    journal.append({ kind: 'process', pid: child.pid, startTime: '1' });
    await undoSlot(journal, node);
    expect(startTimeOf(child.pid)).toBe(startTime);
    journal.append({ kind: 'process', pid: child.pid, startTime });
    await undoSlot(journal, node);
    expect((await child.exited).signal).toBe('SIGKILL');
  });

  it('looks again when more was noted meanwhile, but not for ever', async () => {
    let times = 1;
    let tap = 2;
    const first = await attached(1);
    vi.spyOn(node.bridges, 'memberOf').mockImplementation(() => {
      if (times > 0) journal.append({ ...first, tap: `wttest${tap}` });
      [times, tap] = [times - 1, tap + 1];
      return undefined;
    });
    journal.append(first);
    await undoSlot(journal, node);
    expect(journal.entries()).toEqual([]);
    journal.append(first);
    times = 1_000;
    await expect(undoSlot(journal, node)).rejects.toThrow('more is added all the time');
    expect(times).toBeGreaterThan(900);
    expect(journal.entries().length).toBeGreaterThan(1);
  });
});

describe('what a power loss has left', () => {
  it('is that of slots with a record and no journal, and is removed as whose it is', async () => {
    const living = { slotId: 'slot-aaaaaaaaab', uid: ownUid };
    undoJournal(node.at, living).append({
      kind: 'directory',
      path: node.directory('b'),
      uid: ownUid,
      gid: 7,
    });
    const path = node.directory('a');
    node.at.records.keep(key, { path, uid: 64_931, gid: 64_932 });
    expect(forgottenSlots(node.at)).toEqual([{ key, directory: { path, uid: 64_931, gid: 64_932 } }]);
    expect(await removeForgotten(node.at, node.tools, forgottenSlots(node.at))).toEqual({
      undone: [key.slotId],
      left: [],
    });
    expect(node.taken()).toEqual([
      `setpriv --reuid=64931 --regid=64932 --clear-groups rm -rf --one-file-system -- ${path}`,
    ]);
    expect([existsSync(path), node.at.records.all().map(each => each.key)]).toEqual([false, [living]]);
  });

  it('is left, and told, when it cannot be removed, or its record cannot be read', async () => {
    const path = node.directory('a');
    node.at.records.keep(key, { path, uid: ownUid, gid: 7 });
    const broken = { slotId: 'slot-aaaaaaaaab', uid: ownUid };
    writeFileSync(node.at.records.pathOf(broken), '{');
    node.failsAt = 'rm -rf';
    const told = await removeForgotten(node.at, node.tools, forgottenSlots(node.at));
    expect(told.undone).toEqual([]);
    expect(told.left.toSorted()).toEqual([
      expect.stringMatching(/^slot-aaaaaaaaaa: rm -rf /),
      `slot-aaaaaaaaab: ${node.at.records.pathOf(broken)} cannot be read`,
    ]);
    expect(node.at.records.all()).toHaveLength(2);
  });
});
