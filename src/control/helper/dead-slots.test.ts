import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { deadSlots, slotHold } from './dead-slots.ts';
import { helperDirectory } from './journal.ts';
import { keyText, type SlotKey } from './slot-key.ts';

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
    await slotHold(at, slot('slot-aaaaaaaaae', 1_000, ['undo.jsonl']))();
    expect(await deadSlots(at, own)).toEqual([dead]);
  });
});
