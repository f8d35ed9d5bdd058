import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskRecords } from './disk-records.ts';

let place: string;
let records: DiskRecords;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-records-'));
  records = new DiskRecords(place, 'n01');
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const key = (uid: number) => ({ slotId: 'slot-aaaaaaaaaa', uid });
const files = { path: '/work/n01/slot-aaaaaaaaaa', uid: 0, gid: 0 };

describe('the record of a slot’s files', () => {
  it('is one for each user, and goes with its directory when it is the last', () => {
    expect(records.all()).toEqual([]);
    records.keep(key(1_000), { ...files, path: '/elsewhere' });
    records.keep(key(1_000), files);
    records.keep(key(1_001), files);
    expect(readdirSync(join(place, 'n01'))).toEqual(['slot-aaaaaaaaaa.1000', 'slot-aaaaaaaaaa.1001']);
    expect(statSync(join(place, 'n01')).mode & 0o777).toBe(0o700);
    records.forget(key(1_000));
    expect(new DiskRecords(place, 'n01').all()).toEqual([{ key: key(1_001), directory: files }]);
    records.forget(key(1_001));
    records.forget(key(1_001));
    expect([existsSync(join(place, 'n01')), records.all()]).toEqual([false, []]);
  });

  it.each([
    '',
    '{',
    'null',
    '{}',
    JSON.stringify({ ...files, path: 'work' }),
    JSON.stringify({ ...files, path: 7 }),
    JSON.stringify({ ...files, uid: -1 }),
    JSON.stringify({ ...files, uid: 1.5 }),
    JSON.stringify({ ...files, uid: '0' }),
    JSON.stringify({ ...files, gid: -1 }),
    JSON.stringify({ ...files, gid: null }),
  ])('is told, and not believed, when it is %j', text => {
    records.keep(key(1_000), files);
    writeFileSync(records.pathOf(key(1_000)), text);
    expect(records.all()).toEqual([{ key: key(1_000), directory: undefined }]);
  });

  it('is not what a crash has left of one, nor what is no slot’s', () => {
    records.keep(key(1_000), files);
    for (const name of ['slot-aaaaaaaaab.1000.new', 'lost+found', '.1000', 'slot-aaaaaaaaab.12345678901'])
      writeFileSync(join(place, 'n01', name), JSON.stringify(files));
    expect(records.all()).toEqual([{ key: key(1_000), directory: files }]);
  });

  it('says where it should be when it cannot be written', () => {
    writeFileSync(join(place, 'n01'), '');
    expect(() => records.keep(key(1_000), files)).toThrow(
      expect.objectContaining({ code: 'disk_record', message: expect.stringContaining('--disk-dir') }),
    );
  });
});
