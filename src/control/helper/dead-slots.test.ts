import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import { Bridges } from './bridges.ts';
import { deadSlots, slotHold, sweepDeadSlots } from './dead-slots.ts';
import { helperDirectory, slotsOn } from './journal.ts';
import { keyText, type SlotKey } from './slot-key.ts';
import { RootTools } from './tools.ts';

const place = mkdtempSync(join(tmpdir(), 'wsp-dead-slots-'));
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe('slots that nobody holds', () => {
  it("are those of one's own user, and none that is held, was never held, or is one's own", async () => {
    const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
    const slot = (slotId: string, uid: number, files: readonly string[]): SlotKey => {
      const key = { slotId, uid };
      const directory = join(at.slots, keyText(key));
      mkdirSync(directory, { recursive: true });
      for (const file of files) writeFileSync(join(directory, file), '');
      return key;
    };
    const own = slot('slot-aaaaaaaaaa', 1_000, ['undo.jsonl', 'holder']);
    const dead = slot('slot-aaaaaaaaab', 1_000, ['undo.jsonl', 'holder']);
    slot('slot-aaaaaaaaac', 1_001, ['undo.jsonl', 'holder']);
    slot('slot-aaaaaaaaad', 1_000, ['undo.jsonl']);
    const held = slot('slot-aaaaaaaaae', 1_000, ['undo.jsonl']);
    await slotHold(at, held)();
    expect(await deadSlots(at, own)).toEqual([dead]);
    expect(existsSync(join(at.slots, keyText(held), 'holder'))).toBe(true);
  });

  it('are undone when they were so at both looks, and each is told', async () => {
    const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
    const tools = new RootTools(systemClock, { run: () => Promise.reject(new Error('nothing is run')) });
    const slot = (slotId: string, journal: string): SlotKey => {
      const key = { slotId, uid: 1_000 };
      mkdirSync(join(at.slots, keyText(key)), { recursive: true });
      writeFileSync(join(at.slots, keyText(key), 'undo.jsonl'), journal);
      writeFileSync(join(at.slots, keyText(key), 'holder'), '');
      return key;
    };
    const [own, dead, damaged, later] = [
      slot('slot-aaaaaaaaaa', ''),
      slot('slot-aaaaaaaaab', ''),
      slot('slot-aaaaaaaaac', '{}\n'),
      slot('slot-aaaaaaaaad', ''),
    ];
    const parts = { at, tools, bridges: new Bridges(at, tools) };
    expect((await sweepDeadSlots(parts, own, [own, damaged, dead])).toSorted()).toEqual([
      'slot-aaaaaaaaab is undone, whose pilot and helper have both died',
      expect.stringMatching(/^slot-aaaaaaaaac, whose pilot and helper have both died: .*unknown kind/),
    ]);
    const left = slotsOn(at).map(({ slotId }) => slotId);
    expect(left.toSorted()).toEqual([own, damaged, later].map(({ slotId }) => slotId));
  });
});

it('a slot is held once, and by nobody who has nothing to undo', async () => {
  const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  const key = { slotId: 'slot-aaaaaaaaaa', uid: 1_000 };
  const directory = join(at.slots, keyText(key));
  const [first, second] = [slotHold(at, key), slotHold(at, key)];
  mkdirSync(directory, { recursive: true });
  await first();
  expect(existsSync(join(directory, 'holder'))).toBe(false);
  writeFileSync(join(directory, 'undo.jsonl'), '');
  await first();
  await first();
  await second();
  expect(statSync(join(directory, 'holder')).mode & 0o777).toBe(0o600);
  const open = readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === join(directory, 'holder');
    } catch {
      return false;
    }
  });
  expect(open).toHaveLength(1);
});
