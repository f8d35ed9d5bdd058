import Database from 'libsql';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../../test/support/lease.ts';
import { openSqliteStore } from './sqlite.ts';
import { emptyCommit } from './store.contract.ts';

let directory = '';
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'wsp-unread-')), 'state');
  mkdirSync(directory, { mode: 0o700 });
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

function inDatabase<T>(use: (database: Database.Database) => T): T {
  const database = new Database(join(directory, 'wsp.db'));
  try {
    return use(database);
  } finally {
    database.close();
  }
}

/** A workspace that has ended and is retired, with its slot, its VM and its history, and a line of the audit log. */
async function aPast(): Promise<void> {
  const { workspace, slot, vms } = new LeaseBench().running(1);
  const vm = must(vms[0]);
  const store = openSqliteStore({ directory });
  const event = {
    at: 1,
    type: 'workspace.ended' as const,
    workspaceId: 'ws-a',
    slotId: null,
    vmId: null,
    node: null,
  };
  await store.commit({
    ...emptyCommit,
    workspaces: [{ ...workspace, id: 'ws-a', state: 'ended', slotId: 'slot-a', vmIds: ['vm-a'] }],
    slots: [{ ...slot, id: 'slot-a', state: 'released' }],
    vms: [{ ...vm, id: 'vm-a', state: 'terminated' }],
    events: [{ ...event, reason: { code: 'x', message: 'y' } }],
    retired: [{ slotId: 'slot-a', workspaces: [{ ...workspace, id: 'ws-a' }], vmIds: ['vm-a'] }],
  });
  await store.appendAudit([
    {
      at: '2026-01-01T00:00:00.000Z',
      user: 'ann',
      token: null,
      method: 'POST',
      path: '/x',
      status: 201,
      code: null,
      address: '::1',
    },
  ]);
  await store.close();
}

const otherVersion = 'it is of version 7; this program reads version 1';

describe('a document of the past that cannot be read', () => {
  it.each([
    ['workspace ws-a', 'update workspaces set version = 7', otherVersion],
    ['workspace ws-a', "update workspaces set body = '{'", 'it is not JSON'],
    ['slot slot-a', 'update slots set version = 7', otherVersion],
    ['slot slot-a', "update slots set body = '{'", 'it is not JSON'],
    ['VM vm-a', 'update vms set version = 7', otherVersion],
    ['VM vm-a', "update vms set body = '{'", 'it is not JSON'],
    ['event 1', "update events set reason = '{'", 'it is not JSON'],
    ['line of the audit log 1', "update audit set body = '{'", 'it is not JSON'],
  ])('stops the start: %s after %s', async (what, damage, why) => {
    await aPast();
    inDatabase(database => database.exec(damage));
    const store = openSqliteStore({ directory });
    await expect(store.load()).rejects.toMatchObject({
      code: 'failed',
      message: `the service's database has a document that cannot be read: ${what}: ${why}`,
    });
    await store.close();
  });

  it('is looked for in an index of its own: a start reads nothing of the past', async () => {
    await aPast();
    const plans = inDatabase(database =>
      [
        ...['workspaces', 'slots', 'vms'].map(
          table => `select id from ${table} where version <> 1 or not json_valid(body) limit 1`,
        ),
        'select seq from events where not json_valid(reason) limit 1',
        'select seq from audit where not json_valid(body) limit 1',
      ].map(sql => {
        const [step] = database.prepare(`explain query plan ${sql}`).all() as { readonly detail: string }[];
        return must(step).detail;
      }),
    );
    expect(plans.map(detail => /USING (?:COVERING )?INDEX (\w+)/.exec(detail)?.[1])).toEqual([
      'unread_workspaces',
      'unread_slots',
      'unread_vms',
      'unread_events',
      'unread_audit',
    ]);
  });
});

describe('a document of a database of the version before that is no JSON', () => {
  it.each([
    ['workspace ws-6lugzd4rx3', "update workspaces set body = '{' where id = 'ws-6lugzd4rx3'"],
    ['slot slot-mniynwdwf2', "update slots set body = '{' where id = 'slot-mniynwdwf2'"],
    ['VM ws-xpegzu4jxh.w-0', "update vms set body = '{' where id = 'ws-xpegzu4jxh.w-0'"],
    ['effect broken', "insert into outbox (key, body) values ('broken', '{')"],
    ['access ann', "update access set body = '{' where id = 'ann'"],
    ['event 1', "update events set reason = '{' where seq = 1"],
  ])('stops the upgrade before it has changed anything: %s', (what, damage) => {
    const recorded = join(import.meta.dirname, '../../../test/recorded/state-15.sql');
    inDatabase(database => {
      database.exec(readFileSync(recorded, 'utf8'));
      database.exec(damage);
    });
    expect(() => openSqliteStore({ directory })).toThrow(
      `the service's database has a document that cannot be read: ${what}: it is not JSON`,
    );
    const version = inDatabase(database => database.prepare('pragma user_version').get());
    expect(version).toMatchObject({ user_version: 15 });
  });
});
