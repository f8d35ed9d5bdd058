import type Database from 'libsql';
import { documentVersion, whyUnread } from './documents.ts';
import { unreadable } from './fields.ts';
import type { Ask } from './past.ts';

/** A table of documents: what one is called, and where it has its id and its text. */
interface Place {
  readonly what: string;
  readonly table: string;
  readonly id: string;
  readonly body: string;
}

/** What is not read at a start, because it is over. Those with a version have one beside the text. */
const past: readonly (Place & { readonly versioned: boolean })[] = [
  { what: 'workspace', table: 'workspaces', id: 'id', body: 'body', versioned: true },
  { what: 'slot', table: 'slots', id: 'id', body: 'body', versioned: true },
  { what: 'VM', table: 'vms', id: 'id', body: 'body', versioned: true },
  { what: 'event', table: 'events', id: 'seq', body: 'reason', versioned: false },
  { what: 'line of the audit log', table: 'audit', id: 'seq', body: 'body', versioned: false },
];
const all: readonly Place[] = [
  ...past,
  { what: 'effect', table: 'outbox', id: 'key', body: 'body' },
  { what: 'access', table: 'access', id: 'id', body: 'body' },
];

/**
 * Looks for a document of the past that cannot be read. There may be millions, so the database keeps
 * an index of such ones (`migrations.ts`), which is empty. Throws `WspError` (`failed`).
 */
export function refuseUnreadPast(ask: Ask): void {
  for (const { what, table, id, body, versioned } of past) {
    const [version, unread] = versioned
      ? ['version', `version <> ${documentVersion} or not json_valid(${body})`]
      : [documentVersion, `not json_valid(${body})`];
    const sql = `select ${id} as id, ${version} as version from ${table} where ${unread} limit 1`;
    const [found] = ask(sql, []) as readonly { readonly id: string | number; readonly version: number }[];
    if (found) throw unreadable(what, found.id, whyUnread(found.version));
  }
}

/** Before a migration, which rewrites documents, looks at each. Throws `WspError` (`failed`). */
export function refuseNoJson(database: Database.Database): void {
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all() as {
    readonly name: string;
  }[];
  for (const { what, table, id, body } of all) {
    if (!tables.some(({ name }) => name === table)) continue;
    const sql = `select ${id} as id from ${table} where not json_valid(${body}) limit 1`;
    const found = database.prepare(sql).get() as { readonly id: string | number } | undefined;
    if (found) throw unreadable(what, found.id, whyUnread());
  }
}
