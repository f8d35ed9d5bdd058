import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { Bridges } from './bridges.ts';
import { helperDirectory, undoJournal } from './journal.ts';
import { startTimeOf } from './proc.ts';
import { undoSlot } from './slot-undo.ts';
import { RootTools } from './tools.ts';

const place = mkdtempSync(join(tmpdir(), 'wsp-undo-'));
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe('the undo of a slot', () => {
  it('ends its processes before anything changes under them', async () => {
    const vmm = await startChild(['sleep', 'infinity'], { detached: true });
    const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
    const livesAt: string[] = [];
    const tools = new RootTools(systemClock, {
      run: argv => {
        if (startTimeOf(vmm.pid) !== undefined) livesAt.push(argv[0]);
        return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '' });
      },
    });
    const key = { slotId: 'slot-aaaaaaaaaa', uid: process.getuid?.() ?? 0 };
    const journal = undoJournal(at, key);
    journal.append({ kind: 'nic', tap: 'wttest1', bridge: 'wbtest', address: '10.91.0.1' });
    journal.append({ kind: 'process', pid: vmm.pid, startTime: startTimeOf(vmm.pid) ?? '' });
    const bridges = new Bridges(at, tools);
    let asked = 0;
    bridges.memberOf = () => {
      asked += 1;
      return { slot: `slot-aaaaaaaaaa.${key.uid}`, address: '10.91.0.1', mac: '' };
    };
    await undoSlot(journal, { at, bridges, tools });
    expect([asked, livesAt]).toEqual([1, []]);
    expect((await vmm.exited).signal).toBe('SIGKILL');
  });

  it('leaves interfaces that its bridges know as another slot’s', async () => {
    const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
    const ran: string[] = [];
    const tools = new RootTools(systemClock, {
      run: argv => {
        ran.push(argv.join(' '));
        return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '' });
      },
    });
    const bridges = new Bridges(at, tools);
    bridges.memberOf = () => ({ slot: 'slot-aaaaaaaaab.1000', address: '10.91.0.1', mac: '' });
    const journal = undoJournal(at, { slotId: 'slot-aaaaaaaaaa', uid: 1_000 });
    journal.append({ kind: 'nic', tap: 'wttest1', bridge: 'wbtest', address: '10.91.0.1' });
    await undoSlot(journal, { at, bridges, tools });
    expect(ran).toEqual([]);
  });
});
