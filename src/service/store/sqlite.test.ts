import Database from 'libsql';
import {
  chmodSync,
  chownSync,
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
import { systemProcesses } from '../../platform/process.ts';
import { openDatabase, openSqliteStore } from './sqlite.ts';
import { emptyCommit, storeContract } from './store.contract.ts';

storeContract('sqlite in a directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-store-'));
  return {
    open: () => openSqliteStore({ directory: join(directory, 'state') }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
});

async function command(...argv: readonly [string, ...string[]]): Promise<void> {
  expect(await systemProcesses.run(argv, { deadlineMs: 10_000 })).toMatchObject({ code: 0, stderr: '' });
}

const unknown = (field: string, word: string): string =>
  `its field ${field} is none that this program knows: "${word}"`;

describe('sqlite store', () => {
  let directory = '';
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'wsp-store-')), 'state');
  });
  afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

  it.each([
    ['others can write to it', (state: string) => chmodSync(state, 0o777)],
    ['its group can write to it', (state: string) => chmodSync(state, 0o770)],
    ['anybody can put another in its place', (state: string) => chmodSync(join(state, '..'), 0o777)],
    ['it is somebody else’s', (state: string) => chownSync(state, 65_534, 65_534)],
  ])('security 26: refuses a directory when %s', async (_what, share) => {
    mkdirSync(directory, { recursive: true });
    share(directory);
    const refusal = catchError(() => openSqliteStore({ directory }));
    expect(refusal).toMatchObject({ code: 'failed', message: expect.stringContaining('alone: ') });
    expect(readdirSync(directory)).toEqual([]);
    chmodSync(directory, 0o700);
    chownSync(directory, 0, 0);
    chmodSync(join(directory, '..'), 0o1777);
    await openSqliteStore({ directory }).close();
  });

  it('says that the disk is full, keeps what it had, and goes on when there is room', async () => {
    mkdirSync(directory);
    await command('mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'wsp-test', directory);
    try {
      const store = openSqliteStore({ directory });
      const filler = join(directory, 'filler');
      const secret = { key: 'workspace:ws-a', value: 'x'.repeat(100_000) };
      expect(() => writeFileSync(filler, Buffer.alloc(2 << 20))).toThrow('ENOSPC');
      await expect(store.commit({ ...emptyCommit, secrets: [secret] })).rejects.toThrow('disk is full');
      expect((await store.load()).secrets).toEqual(new Map());
      rmSync(filler);
      await store.commit({ ...emptyCommit, secrets: [secret] });
      expect((await store.load()).secrets).toEqual(new Map([[secret.key, secret.value]]));
      await store.close();
    } finally {
      // What is prepared is let go of later, and holds it until then.
      await command('umount', '--lazy', directory);
    }
  });

  it('refuses a second service, and lets the next one in', async () => {
    const first = openSqliteStore({ directory });
    const refusal = catchError(() => openSqliteStore({ directory }));
    expect(refusal).toMatchObject({ code: 'conflict' });
    expect(String(refusal)).toContain(`another service (process ${process.pid}) uses the state directory`);
    await first.close();
    await openSqliteStore({ directory }).close();
  });

  it('is readable by its owner alone, whatever the umask', async () => {
    const store = openSqliteStore({ directory });
    try {
      await store.commit({ ...emptyCommit, secrets: [{ key: 'k', value: 'v' }] });
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      const files = readdirSync(directory);
      expect(files).toContain('wsp.db-wal');
      for (const file of files)
        expect([file, statSync(join(directory, file)).mode & 0o777]).toEqual([file, 0o600]);
    } finally {
      await store.close();
    }
  });

  it('repairs the mode of a database that others can read', async () => {
    await openSqliteStore({ directory }).close();
    chmodSync(join(directory, 'wsp.db'), 0o644);
    await openSqliteStore({ directory }).close();
    expect(statSync(join(directory, 'wsp.db')).mode & 0o777).toBe(0o600);
  });

  it('keeps a write-ahead log, so that an administrator can read while it writes', async () => {
    const store = openSqliteStore({ directory });
    try {
      const reader = new Database(join(directory, 'wsp.db'));
      expect(reader.prepare('pragma journal_mode').get()).toMatchObject({ journal_mode: 'wal' });
      reader.close();
    } finally {
      await store.close();
    }
  });

  it('has each commit on the disk before it is answered: a machine that loses its power has lost none', () => {
    mkdirSync(directory, { recursive: true });
    const database = openDatabase(join(directory, 'wsp.db'));
    // sqlite.org/pragma.html: 2 is FULL, which in WAL mode is an fsync of the log for each commit.
    expect(database.prepare('pragma synchronous').get()).toMatchObject({ synchronous: 2 });
    database.close();
  });

  it('finds the orders that a program of before has stored for its pilots', async () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const database = new Database(join(directory, 'wsp.db'));
    database.exec(readFileSync(join(import.meta.dirname, '../../../test/recorded/state-15.sql'), 'utf8'));
    database.exec('delete from outbox');
    const effect = (kind: string, rest: object) => ({ kind, key: kind, slotId: 'slot-a', ...rest });
    const stop = { vmId: 'ws-a.w-0', graceMs: 1_500 };
    for (const stored of [
      effect('pilot.stop-vm', { node: 'n0', ...stop }),
      effect('lrm.cancel', { jobId: '7' }),
      effect('pilot.start-vm', { node: 'n1', vmId: 'ws-a.w-1' }),
    ])
      database
        .prepare('insert into outbox (key, body) values (?, ?)')
        .run(stored.key, JSON.stringify(stored));
    database.close();
    const store = openSqliteStore({ directory });
    try {
      expect((await store.load()).effects).toEqual([
        { ...effect('pilot', { node: 'n0' }), key: 'pilot.stop-vm', order: { kind: 'stop-vm', ...stop } },
        effect('lrm.cancel', { jobId: '7' }),
        {
          ...effect('pilot', { node: 'n1' }),
          key: 'pilot.start-vm',
          order: { kind: 'start-vm', vmId: 'ws-a.w-1' },
        },
      ]);
    } finally {
      await store.close();
    }
  });

  it.each([
    ['workspace ws-a', "update workspaces set body = '{'", 'it is not JSON'],
    [
      'workspace ws-a',
      "update workspaces set body = json_remove(body, '$.vmIds')",
      'its field vmIds is not list',
    ],
    ['slot slot-a', "update slots set body = json_set(body, '$.nodes', 'n0')", 'its field nodes is not list'],
    ['VM vm-a', "update vms set body = '[]'", 'it is not an object'],
    ['VM vm-a', 'update vms set version = 7', 'it is of version 7; this program reads version 1'],
    ['effect e', "update outbox set body = json_set(body, '$.kind', null)", 'its field kind is not text'],
    ['access a', "update access set body = 'x'", 'it is not JSON'],
    [
      'workspace ws-a',
      "update workspaces set body = json_set(body, '$.state', 'gone')",
      unknown('state', 'gone'),
    ],
    [
      'workspace ws-a',
      "update workspaces set body = json_set(body, '$.groups[0].count', '2')",
      'its field groups[0].count is not number',
    ],
    ['slot slot-a', "update slots set body = json_set(body, '$.state', 'gone')", unknown('state', 'gone')],
    [
      'slot slot-a',
      "update slots set body = json_set(body, '$.nodes[0].appliedSeq', null)",
      'its field nodes[0].appliedSeq is not number',
    ],
    ['slot slot-a', 'update slots set version = 7', 'it is of version 7; this program reads version 1'],
    ['VM vm-a', "update vms set body = json_set(body, '$.context', 'fine')", unknown('context', 'fine')],
    [
      'VM vm-a',
      "update vms set body = json_remove(body, '$.nics[0].mac')",
      'its field nics[0].mac is not text',
    ],
    [
      'effect e',
      "update outbox set body = json_set(body, '$.kind', 'lrm.boot')",
      'its kind is none that this program knows: lrm.boot',
    ],
    ['effect e', "update outbox set body = json_set(body, '$.kind', 'pilot')", 'its field node is not text'],
    ['effect e', "update outbox set body = 'x'", 'it is not JSON'],
    ['effect e', 'update outbox set version = 7', 'it is of version 7; this program reads version 1'],
    ['access a', 'update access set version = 7', 'it is of version 7; this program reads version 1'],
    ['access a', "update access set kind = 'group'", 'its kind is none that this program knows: group'],
  ])('stops the start for a document that cannot be read: %s after %s', async (what, damage, why) => {
    const { workspace, slot, vms } = new LeaseBench().running(1);
    const store = openSqliteStore({ directory });
    await store.commit({
      ...emptyCommit,
      workspaces: [{ ...workspace, id: 'ws-a' }],
      slots: [{ ...slot, id: 'slot-a' }],
      vms: [{ ...must(vms[0]), id: 'vm-a' }],
      effects: [{ kind: 'lrm.submit', key: 'e', slotId: 'slot-a' }],
    });
    await store.putAccess([{ kind: 'user', id: 'a', body: {} }]);
    await store.close();
    const database = new Database(join(directory, 'wsp.db'));
    database.exec(damage);
    database.close();
    const again = openSqliteStore({ directory });
    await expect(again.load().then(() => again.loadAccess())).rejects.toMatchObject({
      code: 'failed',
      message: `the service's database has a document that cannot be read: ${what}: ${why}`,
      hint: expect.stringContaining('backup'),
    });
    await again.close();
  });

  it('refuses a database from a newer program, and gives the lock free', async () => {
    await openSqliteStore({ directory }).close();
    const database = new Database(join(directory, 'wsp.db'));
    database.exec('pragma user_version = 999');
    database.close();
    for (let attempt = 0; attempt < 2; attempt++)
      expect(String(catchError(() => openSqliteStore({ directory })))).toContain('schema version 999');
  });
});

function catchError(action: () => unknown): unknown {
  try {
    action();
  } catch (cause) {
    return cause;
  }
  return undefined;
}
