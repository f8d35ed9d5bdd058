import { chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImitatedNode, nicOf, policy } from '../../../test/support/imitated-node.ts';
import { ControlError } from '../control.ts';
import { deleteRulesOf, tapRules } from '../network/filter.ts';
import { portSettings, tapCommands, tapUpCommands } from '../network/bridge.ts';
import { UserCgroups } from './cgroups.ts';
import { undoJournal } from './journal.ts';
import { startTimeOf } from './proc.ts';
import type { HelperAnswer, HelperRequest } from './requests.ts';
import { type ServerParts, serve } from './server.ts';
import { keyText } from './slot-key.ts';

/** What a slot's helper does to an imitated node. */

const interfaces = vi.hoisted(() => new Set<string>());
vi.mock('../network/interfaces.ts', () => ({ interfaceNames: () => new Set(interfaces) }));

const ownUid = process.getuid?.() ?? 0;
const key = { slotId: 'slot-aaaaaaaaaa', uid: ownUid };
const attach = (number: number) =>
  ({ id: number, op: 'attach-nic', nic: nicOf(number), hostname: 'one' }) as const;

let node: ImitatedNode;
let parts: ServerParts;
let held: number;
let cgroupCalls: string[];
beforeEach(() => {
  node = new ImitatedNode(interfaces);
  [held, cgroupCalls] = [0, []];
  parts = partsOf(ownUid);
});
afterEach(() => node.remove());

function partsOf(uid: number): ServerParts {
  const { at, bridges, tools } = node;
  const cgroups = new UserCgroups(uid, { processes: 1, memoryMiB: 1 }, { root: node.place, self: '' });
  cgroups.enter = () => {
    cgroupCalls.push('enter');
    return [];
  };
  cgroups.leave = () => void cgroupCalls.push('leave');
  const hold = async (): Promise<void> => void (held += 1);
  return {
    at,
    journal: undoJournal(at, { ...key, uid }),
    bridges,
    tools,
    cgroups,
    gid: 7,
    policy: undefined,
    hold,
  };
}

const failure = (id: number, code: string) =>
  expect.objectContaining({ id, ok: false, code }) as HelperAnswer;

describe('an interface of a slot', () => {
  it('is the user’s, marked as the helper’s, and guarded before it is up', async () => {
    await serve(parts, attach(1));
    const settings: unknown[] = [];
    node.tools.set = each => settings.push(...each);
    node.taken();
    expect(await serve(parts, attach(2))).toEqual({ id: 2, ok: true });
    const nic = nicOf(2);
    expect(node.taken()).toEqual([
      'ip -batch -',
      ...tapCommands(nic, ownUid, node.at.mark),
      'nft -f -',
      ...tapRules(nic).trimEnd().split('\n'),
      'ip -batch -',
      ...tapUpCommands(nic),
    ]);
    expect(settings).toEqual(portSettings('wttest2'));
    expect(held).toBe(2);
  });

  it('is journaled before its bridge is touched, and not at all when it cannot come', async () => {
    const joined = vi.spyOn(node.bridges, 'join').mockImplementation(async () => {
      expect(parts.journal.entries()).toEqual([
        { kind: 'nic', tap: 'wttest1', bridge: 'wbtest', address: '10.91.0.1' },
      ]);
      return Promise.resolve();
    });
    expect(await serve(parts, attach(1))).toEqual({ id: 1, ok: true });
    interfaces.add('wttest2');
    expect(await serve(parts, attach(2))).toEqual(failure(2, 'tap_in_use'));
    expect([joined.mock.calls.length, parts.journal.entries().length, held]).toEqual([1, 1, 1]);
  });

  it('goes with its route and its guard; its bridge stays while another one is there', async () => {
    for (const number of [1, 2]) await serve(parts, attach(number));
    node.taken();
    expect(await serve(parts, { id: 3, op: 'detach-nic', tap: 'wttest1' })).toEqual({ id: 3, ok: true });
    expect(node.taken()).toEqual([
      ...['ip -force -batch -', 'link del dev wttest1', 'route del 10.91.0.1/32 dev wbtest', 'nft -f -'],
      ...deleteRulesOf('wttest1').trimEnd().split('\n'),
    ]);
    expect(parts.journal.entries()).toMatchObject([{ tap: 'wttest2' }]);
    await serve(parts, { id: 4, op: 'detach-nic', tap: 'wttest2' });
    expect([[...interfaces], [...node.tables]]).toEqual([['lo', 'eth1'], []]);
  });

  it('is made anew by the request of a helper that has died, repeated', async () => {
    await serve(parts, attach(1));
    node.taken();
    expect(await serve({ ...parts, journal: undoJournal(node.at, key) }, attach(1))).toEqual({
      id: 1,
      ok: true,
    });
    expect(node.taken().filter(line => /^(link del|tuntap)/.test(line))).toEqual([
      'link del dev wttest1',
      'link del dev wbtest',
      `tuntap add dev wttest1 mode tap user ${ownUid}`,
    ]);
  });

  it('that cannot be taken away stays in the journal, with its guard', async () => {
    await serve(parts, attach(1));
    node.failsAt = 'link del dev wttest1';
    node.taken();
    expect(await serve(parts, { id: 2, op: 'detach-nic', tap: 'wttest1' })).toEqual(
      failure(2, 'undo_failed'),
    );
    expect([parts.journal.entries().length, node.tables.has('table netdev wsp-wttest1')]).toEqual([1, true]);
  });
});

describe('what root allows', () => {
  const setPeers = (address: string): HelperRequest => ({
    id: 3,
    op: 'set-peers',
    bridge: 'wbtest',
    peers: [{ address, macs: [] }],
  });

  it('security 2 bounds interfaces and peers, before anything is noted', async () => {
    const bounded = { ...parts, policy };
    expect(await serve(bounded, attach(2))).toEqual(failure(2, 'not_allowed'));
    expect(parts.journal.entries()).toEqual([]);
    expect(await serve(bounded, attach(1))).toEqual({ id: 1, ok: true });
    const given = vi.spyOn(node.bridges, 'setPeers').mockResolvedValue();
    expect(await serve(bounded, setPeers('10.2.0.1'))).toEqual(failure(3, 'not_allowed'));
    expect(given).not.toHaveBeenCalled();
    expect(await serve(bounded, setPeers('10.1.0.1'))).toEqual({ id: 3, ok: true });
    expect(given).toHaveBeenCalledWith('wbtest', [{ address: '10.1.0.1', macs: [] }], key);
  });

  it('is everything where there is no policy: it is root who asks', async () => {
    expect(await serve(parts, attach(2))).toEqual({ id: 2, ok: true });
    expect(await serve(parts, setPeers('10.2.0.1'))).toEqual({ id: 3, ok: true });
  });
});

describe('a process of a slot', () => {
  const adopt = { id: 4, op: 'adopt-process', pid: process.pid } as const;

  it('is noted with its start time', async () => {
    expect(await serve(parts, adopt)).toEqual({ id: 4, ok: true });
    expect(parts.journal.entries()).toEqual([
      { kind: 'process', pid: process.pid, startTime: startTimeOf(process.pid) },
    ]);
  });

  it('is nothing to note when it has ended', async () => {
    expect(await serve(parts, { ...adopt, pid: 4_194_303 })).toEqual({ id: 4, ok: true });
    expect(parts.journal.entries()).toEqual([]);
  });

  it('is refused when it is another user’s', async () => {
    const theirs = partsOf(64_931);
    expect(await serve(theirs, adopt)).toEqual(failure(4, 'not_yours'));
    expect(theirs.journal.entries()).toEqual([]);
  });
});

describe('a directory of a slot', () => {
  const adopt = (path: string) => ({ id: 5, op: 'adopt-directory', path }) as const;

  it('is noted with whose it is, on disk too', async () => {
    const path = node.directory('files');
    expect(await serve(parts, adopt(path))).toEqual({ id: 5, ok: true });
    expect(parts.journal.entries()).toEqual([{ kind: 'directory', path, uid: ownUid, gid: 7 }]);
    expect(node.at.records.all()).toEqual([{ key, directory: { path, uid: ownUid, gid: 7 } }]);
  });

  it.each<[string, (path: string) => void]>([
    ['nothing', () => undefined],
    ['a file', path => writeFileSync(path, '')],
    ['a link', path => symlinkSync(node.place, path)],
    ...(ownUid === 0
      ? [
          [
            'another user’s',
            (path: string): void => {
              mkdirSync(path);
              chownSync(path, 64_931, 64_931);
            },
          ] as [string, (path: string) => void],
        ]
      : []),
  ])('is refused in the same words when there is %s', async (_, make) => {
    const path = join(node.place, 'files');
    make(path);
    expect(await serve(parts, adopt(path))).toEqual({
      ...{ id: 5, ok: false, code: 'not_yours' },
      message: `there is no directory ${path} that is the caller's`,
    });
    expect(await serve(parts, adopt(join(path, 'below')))).toEqual(failure(5, 'not_yours'));
  });

  it('has those removed that a power loss has left of other slots; no other request does', async () => {
    const left = node.directory('left');
    const theirs = { slotId: 'slot-aaaaaaaaab', uid: ownUid };
    node.at.records.keep(theirs, { path: left, uid: ownUid, gid: 7 });
    await serve(parts, attach(1));
    expect(existsSync(left)).toBe(true);
    await serve(parts, adopt(node.directory('files')));
    expect([existsSync(left), node.at.records.all().map(each => each.key)]).toEqual([false, [key]]);
  });
});

describe('the undo that is asked for', () => {
  it('is done outside of the limits of the user’s helpers, and the helper is within them again', async () => {
    await serve(parts, attach(1));
    vi.spyOn(node.tools, 'nft').mockImplementation(() => {
      expect(cgroupCalls).toEqual(['leave']);
      return Promise.resolve();
    });
    expect(await serve(parts, { id: 9, op: 'undo' })).toEqual({ id: 9, ok: true });
    expect(cgroupCalls).toEqual(['leave', 'enter']);
    expect([parts.journal.entries(), [...interfaces]]).toEqual([[], ['lo', 'eth1']]);
  });

  it('says what is left, and the journal stays', async () => {
    await serve(parts, attach(1));
    node.failsAt = 'link del dev wttest1';
    expect(await serve(parts, { id: 9, op: 'undo' })).toEqual({
      ...{ id: 9, ok: false, code: 'undo_failed' },
      message: 'not undone: interfaces: wttest1 cannot be deleted',
    });
    expect([cgroupCalls, parts.journal.entries().length]).toEqual([['leave', 'enter'], 1]);
  });
});

it('a request that fails for no reason of ours says so', async () => {
  const hold = (): Promise<void> => Promise.reject(new Error('no such luck'));
  expect(await serve({ ...parts, hold }, attach(1))).toEqual({
    ...{ id: 1, ok: false, code: 'helper_failed' },
    message: 'no such luck',
  });
  expect(
    await serve({ ...parts, hold: () => Promise.reject(new ControlError('x', 'y')) }, attach(1)),
  ).toEqual(failure(1, 'x'));
});

it('a request whose slot kill-all has undone is answered with that', async () => {
  await serve(parts, attach(1));
  await serve({ ...parts, journal: undoJournal(node.at, key) }, { id: 2, op: 'undo' });
  expect(await serve(parts, attach(2))).toEqual(failure(2, 'slot_undone'));
  expect(existsSync(join(node.at.slots, keyText(key)))).toBe(false);
  expect(() => readFileSync(join(node.at.node, 'lock'))).toThrow('ENOENT');
});
