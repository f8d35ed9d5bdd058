import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nicPlan } from '../../../test/support/node.ts';
import { systemClock } from '../../platform/clock.ts';
import { Bridges } from './bridges.ts';
import { UserCgroups } from './cgroups.ts';
import { helperDirectory, undoJournal } from './journal.ts';
import { type ServerParts, serve } from './server.ts';
import { RootTools } from './tools.ts';

/** What needs no real interface; the rest is in test/e2e/helper.test.ts and helper-attacks.test.ts. */
const uid = process.getuid?.() ?? 0;
const key = { slotId: 'slot-aaaaaaaaaa', uid };
const nic = nicPlan(2);
const attach = { id: 1, op: 'attach-nic', nic, hostname: 'one' } as const;

let place: string;
let parts: ServerParts;
/** Programs that were run, and taps whose membership of a bridge has begun and ended. */
let ran: string[];
let members: Set<string>;
let failsAt: string | undefined;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-server-'));
  [ran, members, failsAt] = [[], new Set(), undefined];
  const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  const tools = new RootTools(systemClock, {
    run: (argv, options) => {
      const line = `${argv.join(' ')} ${options.input ?? ''}`;
      ran.push(line);
      const code = failsAt !== undefined && line.includes(failsAt) ? 1 : 0;
      return Promise.resolve({ code, signal: null, stdout: '', stderr: code === 0 ? '' : 'no' });
    },
  });
  const bridges = new Bridges(at, tools);
  bridges.join = async ({ tap }) => void members.add(tap);
  bridges.leave = async (_, taps) => taps.forEach(tap => members.delete(tap));
  bridges.memberOf = (_, tap) =>
    members.has(tap) ? { slot: `${key.slotId}.${uid}`, address: nic.address, mac: nic.mac } : undefined;
  const journal = undoJournal(at, key);
  const cgroups = new UserCgroups(
    uid,
    { processes: 64, memoryMiB: 64 },
    { root: join(place, 'cgroup'), self: '/proc/self/cgroup' },
  );
  const hold = (): Promise<void> => Promise.resolve();
  parts = { at, journal, bridges, tools, cgroups, gid: uid, policy: undefined, hold };
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe('a request of the helper', () => {
  it('makes an interface with its guard in place before it is up', async () => {
    expect(await serve(parts, attach)).toEqual({ id: 1, ok: true });
    const first = (what: string): number => ran.findIndex(line => line.includes(what));
    const steps = ['tuntap add dev wttest2', 'table netdev wsp-wttest2', 'link set dev wttest2 up'].map(
      first,
    );
    expect(steps).toEqual([0, 1, 2]);
    expect(parts.journal.entries()).toMatchObject([{ kind: 'nic', tap: 'wttest2' }]);
  });

  it.each(['tuntap add', 'table netdev wsp-wttest2 {', 'link set dev wttest2 up'])(
    'security 12 leaves nothing of itself when it fails at "%s"',
    async what => {
      failsAt = what;
      expect(await serve(parts, attach)).toMatchObject({ ok: false, code: 'node_tool_failed' });
      expect([[...members], parts.journal.entries()]).toEqual([[], []]);
    },
  );

  it('makes an interface anew that is asked for again, and takes away those of its slot alone', async () => {
    await serve(parts, attach);
    expect(await serve(parts, attach)).toEqual({ id: 1, ok: true });
    expect(parts.journal.entries()).toHaveLength(1);
    expect(await serve(parts, { id: 2, op: 'detach-nic', tap: 'wttest9' })).toEqual({ id: 2, ok: true });
    expect([...members]).toEqual(['wttest2']);
    await serve(parts, { id: 3, op: 'detach-nic', tap: 'wttest2' });
    expect([[...members], parts.journal.entries()]).toEqual([[], []]);
  });

  it('security 14 has no more directories recorded than a slot may have', async () => {
    const adopt = (id: number) => {
      const path = join(place, `files-${id}`);
      mkdirSync(path);
      return serve(parts, { id, op: 'adopt-directory', path });
    };
    for (const id of [1, 2, 3, 4]) expect(await adopt(id)).toEqual({ id, ok: true });
    expect(await adopt(5)).toMatchObject({ ok: false, code: 'too_many' });
  });
});
