import Database from 'libsql';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../../test/support/lease.ts';
import { copyDatabase } from './backup.ts';
import { databaseIn, openSqliteStore } from './sqlite.ts';
import { emptyCommit } from './store.contract.ts';
import type { Store } from './store.ts';

let place = '';
let store: Store;
const state = (): string => join(place, 'state');
const target = (): string => join(place, 'copy.db');

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-backup-'));
  store = openSqliteStore({ directory: state() });
});
afterEach(async () => {
  await store.close();
  rmSync(place, { recursive: true, force: true });
});

const { workspace, slot, vms } = new LeaseBench().running(1);
const lease = (id: string, ended = false) => ({
  ...emptyCommit,
  workspaces: [{ ...workspace, id, state: ended ? ('ended' as const) : workspace.state }],
  slots: [{ ...slot, id: `slot-${id}` }],
  vms: [{ ...must(vms[0]), id: `vm-${id}` }],
  events: [
    {
      at: 1,
      type: 'workspace.running' as const,
      workspaceId: id,
      slotId: null,
      vmId: null,
      node: null,
      reason: null,
    },
  ],
  effects: [{ kind: 'lrm.submit' as const, key: `submit:${id}`, slotId: `slot-${id}` }],
  secrets: [{ key: `slot:slot-${id}`, value: 'secret' }],
});

describe('a copy of the database', () => {
  it('is made while the store is open and goes on: all that was committed before, nothing after', async () => {
    await store.commit(lease('a'));
    await store.commit(lease('b', true));
    await store.putAccess([{ kind: 'user', id: 'ann', body: { name: 'ann' } }]);
    const before = [await store.load(), await store.loadAccess(), await store.events({ after: 0, limit: 9 })];
    const made = copyDatabase(databaseIn(state()), target());
    expect(made).toMatchObject({ workspaces: 2, live: 1, events: 2, bytes: statSync(target()).size });
    await store.commit(lease('c'));
    expect((await store.load()).workspaces).toHaveLength(3);

    const restored = join(place, 'restored');
    mkdirSync(restored, { mode: 0o700 });
    writeFileSync(databaseIn(restored), readFileSync(target()));
    const again = openSqliteStore({ directory: restored });
    try {
      const after = [
        await again.load(),
        await again.loadAccess(),
        await again.events({ after: 0, limit: 9 }),
      ];
      expect(after).toEqual(before);
    } finally {
      await again.close();
    }
  });

  it('can be read by its owner alone, whatever the umask, and nothing is left beside it', () => {
    const umask = process.umask(0);
    try {
      copyDatabase(databaseIn(state()), target());
    } finally {
      process.umask(umask);
    }
    expect(statSync(target()).mode & 0o777).toBe(0o600);
    expect(readdirSync(place)).toEqual(['copy.db', 'state']);
  });

  it('never takes the place of another file', () => {
    writeFileSync(target(), 'the backup of yesterday');
    expect(() => copyDatabase(databaseIn(state()), target())).toThrow(
      /is there already; nothing was written/,
    );
    expect(readFileSync(target(), 'utf8')).toBe('the backup of yesterday');
    expect(readdirSync(place)).toEqual(['copy.db', 'state']);
  });

  it('is all of it or none: what cannot be read or written leaves no file', () => {
    const nowhere = join(place, 'none', 'copy.db');
    expect(() => copyDatabase(databaseIn(state()), nowhere)).toThrow(/could not be copied to .*ENOENT/);
    const broken = join(place, 'broken.db');
    writeFileSync(broken, 'this is no database, and is long enough to be looked at as one: '.repeat(20));
    chmodSync(broken, 0o600);
    expect(() => copyDatabase(broken, target())).toThrow(/could not be copied to .*not a database/);
    expect(readdirSync(place)).toEqual(['broken.db', 'state']);
  });

  it('of a database of an earlier version stays one of that version', () => {
    const old = join(place, 'old.db');
    const database = new Database(old);
    database.exec(readFileSync(join(import.meta.dirname, '../../../test/recorded/state-15.sql'), 'utf8'));
    database.close();
    expect(copyDatabase(old, target())).toMatchObject({ schema: 15, workspaces: 5, live: 4 });
    const copy = new Database(target());
    expect(copy.prepare('pragma user_version').get()).toMatchObject({ user_version: 15 });
    copy.close();
  });
});
