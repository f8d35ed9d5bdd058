import Database from 'libsql';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { sharedWith } from '../../platform/directory.ts';
import { messageOf } from '../../platform/message-of.ts';
import { chargeOf } from '../../lease/quota.ts';
import type { Slot, Used, Vm, Workspace } from '../../lease/model.ts';
import type { AuditView } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import type { StoredEvent, WorkspaceQuery } from '../core/engine-api.ts';
import {
  type DocumentRow,
  documentVersion,
  readAccess,
  readEffect,
  readSlot,
  readVm,
  readWorkspace,
} from './documents.ts';
import { lockStateDir } from './lock.ts';
import { migrate } from './migrations.ts';
import { refuseUnreadPast } from './unread.ts';
import {
  addUsed,
  type Ask,
  keepRuns,
  readPastUse,
  readSlots,
  readWorkspaces,
  retireIn,
  whereOf,
} from './past.ts';
import type { AccessRow, AuditEntry, Commit, EventQuery, Secret, Store, StoredState } from './store.ts';
import { formatMoment } from '../../protocol/units.ts';

/**
 * The store on SQLite: libsql, one file `wsp.db`. Its calls are done when they return.
 *
 *   commit ─► begin ─► one statement per kind of row, all its rows as one JSON parameter ─► commit (fsync) ─► resolved
 *
 * Entities are JSON documents by id: only the core knows their insides. Those that are not retired
 * are loaded once, at start; the others stay where they are, and are read here (`past.ts`).
 * Invariants: a commit is one transaction; one process at a time holds the directory; nobody but our user can read it.
 * If we crash here: SQLite rolls the open transaction back from its log at the next start; the kernel frees the lock.
 *
 * WAL with synchronous=FULL: NORMAL would lose the last commits when the machine (not the process) dies, and a client may have been told
 * of them. The fsync that this costs is shared by all that waits (`writer.ts` commits in groups).
 */

/**
 * Opens and migrates. `directory`: made with mode 0700 when absent; or `:memory:` for a store that
 * dies with the process. Throws `WspError`: `conflict` (another service holds it), `failed` (made by
 * a newer version, or others could write there).
 */
export function openSqliteStore({ directory }: { readonly directory: string }): Store {
  if (directory === ':memory:') return new SqliteStore(openDatabase(directory), () => undefined);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  refuseSharedDirectory(directory);
  const unlock = lockStateDir(directory);
  try {
    const file = databaseIn(directory);
    // Made by us, not by SQLite, whose files would have the umask's mode; the log beside it takes the mode of the file.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    return new SqliteStore(openDatabase(file), unlock);
  } catch (cause) {
    unlock();
    throw cause;
  }
}

/** The service's store in its state directory, which it locks. Throws `WspError` (`failed`) that says what to do. */
export function openStore(directory: string): Store {
  try {
    return openSqliteStore({ directory });
  } catch (cause) {
    const [message, hint] =
      cause instanceof WspError
        ? [cause.message, cause.hint]
        : [
            `the state directory ${directory} cannot be used: ${messageOf(cause)}`,
            'check service.stateDir in the site file, its permissions and the free space there',
          ];
    throw new WspError('failed', message, { hint, cause });
  }
}

/** The database of a state directory. */
export function databaseIn(directory: string): string {
  return join(directory, 'wsp.db');
}

/** Who could write to it could put a database with users and tokens of theirs in place of ours. */
function refuseSharedDirectory(directory: string): void {
  const why = sharedWith(directory);
  if (why === undefined) return;
  throw new WspError('failed', `the state directory ${directory} is not the service's alone: ${why}`, {
    hint: 'name one in service.stateDir of the site file that only the service can write to, below such ones',
  });
}

/** The connection of the store, as it writes: journal, fsync and schema are set. */
export function openDatabase(file: string): Database.Database {
  const database = new Database(file);
  try {
    database.exec(
      'pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 5000',
    );
    migrate(database);
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

const upsert = (table: 'slots' | 'vms'): string =>
  `insert into ${table} (version, id, body) select ${documentVersion}, value ->> 0, value ->> 1 from json_each(?) where true
   on conflict (id) do update set body = excluded.body, version = excluded.version`;
const statements = {
  // What it is found by never changes.
  workspaces: `insert into workspaces (version, id, body, owner, name, created_at, client_token)
    select ${documentVersion}, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 from json_each(?) where true
    on conflict (id) do update set body = excluded.body, version = excluded.version`,
  slots: upsert('slots'),
  vms: upsert('vms'),
  events: `insert into events (at, recorded_at, type, workspace_id, slot_id, vm_id, node, reason)
    select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
    from json_each(?) order by key`,
  effects: `insert into outbox (version, key, body) select ${documentVersion}, value ->> 0, value ->> 1 from json_each(?) where true order by json_each.key
    on conflict (key) do nothing`,
  done: 'delete from outbox where key in (select value from json_each(?))',
  secrets: `insert into secrets (key, value) select value ->> 0, value ->> 1 from json_each(?) where true
    on conflict (key) do update set value = excluded.value`,
  access: `insert into access (version, kind, id, body) select ${documentVersion}, value ->> 0, value ->> 1, value ->> 2 from json_each(?) where true
    on conflict (kind, id) do update set body = excluded.body, version = excluded.version`,
  dropAccess: 'delete from access where (kind, id) in (select value ->> 0, value ->> 1 from json_each(?))',
  audit: 'insert into audit (body) select value from json_each(?) order by json_each.key',
  forgotten: 'delete from secrets where key in (select value from json_each(?))',
} as const;

class SqliteStore implements Store {
  readonly #database: Database.Database;
  readonly #unlock: () => void;
  /** Ours are a dozen texts, so each is prepared once. */
  readonly #statements = new Map<string, ReturnType<Database.Database['prepare']>>();

  constructor(database: Database.Database, unlock: () => void) {
    this.#database = database;
    this.#unlock = unlock;
  }

  async load(): Promise<StoredState> {
    refuseUnreadPast(this.#ask);
    const documents = (sql: string) => this.#ask(sql, []) as readonly DocumentRow[];
    const inMemory = (table: 'workspaces' | 'slots' | 'vms') =>
      documents(`select id, version, body from ${table} where retired = 0 order by rowid`);
    const secrets = this.#ask('select key, value from secrets', []) as readonly Secret[];
    const used = "select owner, nullif(project, '') as project, vm_ms as vmMs from used";
    return {
      workspaces: inMemory('workspaces').map(readWorkspace),
      slots: inMemory('slots').map(readSlot),
      vms: inMemory('vms').map(readVm),
      effects: documents('select key as id, version, body from outbox order by number').map(readEffect),
      secrets: new Map(secrets.map(({ key, value }) => [key, value])),
      used: this.#ask(used, []) as readonly Used[],
    };
  }

  async commit(commit: Commit): Promise<void> {
    const entity = (row: Workspace | Slot | Vm): [string, string] => [row.id, JSON.stringify(row)];
    this.#write([
      [
        statements.workspaces,
        commit.workspaces.map(each => {
          const { owner, name, createdAt, clientToken } = each;
          return [...entity(each), owner, name, createdAt, clientToken];
        }),
      ],
      [statements.slots, commit.slots.map(entity)],
      [statements.vms, commit.vms.map(entity)],
      [statements.events, commit.events.map(event => eventRow(event, commit.at))],
      [statements.done, commit.done],
      [statements.effects, commit.effects.map(effect => [effect.key, JSON.stringify(effect)])],
      [statements.secrets, commit.secrets.map(({ key, value }) => [key, value])],
      [statements.forgotten, commit.forgotten],
      ...retirements(commit),
    ]);
  }

  async workspaces(query: WorkspaceQuery): ReturnType<Store['workspaces']> {
    return readWorkspaces(this.#ask, query);
  }

  async slots(ids: readonly string[]): ReturnType<Store['slots']> {
    return readSlots(this.#ask, ids);
  }

  async pastUse(...period: Parameters<Store['pastUse']>): ReturnType<Store['pastUse']> {
    return readPastUse(this.#ask, ...period);
  }

  async events(query: EventQuery): Promise<readonly StoredEvent[]> {
    const { after, workspaceId, workspaceIds, types, limit } = query;
    const [where, values] = whereOf([
      ['seq > ?', after],
      ['workspace_id = ?', workspaceId],
      ['workspace_id in (select value from json_each(?))', workspaceIds && JSON.stringify(workspaceIds)],
      ['type in (select value from json_each(?))', types && JSON.stringify(types)],
    ]);
    const sql = `select seq, at, recorded_at as recordedAt, type, workspace_id as workspaceId, slot_id as slotId,
       vm_id as vmId, node, reason, ${ownerOfEvent} as owner from events ${where} order by seq limit ?`;
    const rows = this.#ask(sql, [...values, limit]) as readonly EventRow[];
    return rows.map(({ reason, ...row }) => ({
      ...row,
      reason: reason === null ? null : (JSON.parse(reason) as StoredEvent['reason']),
    }));
  }

  async lastEvent(): Promise<number> {
    const [row] = this.#ask('select coalesce(max(seq), 0) as last from events', []);
    return (row as { readonly last: number }).last;
  }

  async loadAccess(): Promise<readonly AccessRow[]> {
    const sql = 'select kind, id, version, body from access order by rowid';
    return (this.#ask(sql, []) as readonly (DocumentRow & Pick<AccessRow, 'kind'>)[]).map(readAccess);
  }

  async putAccess(rows: readonly AccessRow[]): Promise<void> {
    const kept = rows.filter(({ body }) => body !== null);
    const dropped = rows.filter(({ body }) => body === null);
    this.#write([
      [statements.access, kept.map(({ kind, id, body }) => [kind, id, JSON.stringify(body)])],
      [statements.dropAccess, dropped.map(({ kind, id }) => [kind, id])],
    ]);
  }

  async appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    this.#write([[statements.audit, entries.map(entry => JSON.stringify(entry))]]);
  }

  async audit(query: Parameters<Store['audit']>[0]): Promise<readonly AuditView[]> {
    const { before, limit, user, sinceAt } = query;
    const [where, values] = whereOf([
      ['seq < ?', before],
      ["body ->> '$.user' = ?", user],
      ["body ->> '$.at' >= ?", sinceAt === undefined ? undefined : formatMoment(sinceAt)],
    ]);
    const sql = `select seq, body from audit ${where} order by seq desc limit ?`;
    const rows = this.#ask(sql, [...values, limit]) as readonly { seq: number; body: string }[];
    return rows.map(({ seq, body }) => ({ seq, ...(JSON.parse(body) as AuditEntry) }));
  }

  async close(): Promise<void> {
    this.#statements.clear();
    try {
      this.#database.close();
    } finally {
      this.#unlock();
    }
  }

  /** All in one transaction, or nothing: each statement with its rows, if there are any. */
  #write(writes: readonly (readonly [sql: string, rows: readonly unknown[]])[]): void {
    this.#database.exec('begin');
    try {
      for (const [sql, rows] of writes) if (rows.length > 0) this.#prepared(sql).run(JSON.stringify(rows));
      this.#database.exec('commit');
    } catch (cause) {
      // Of a disk that is full SQLite has rolled back already; to do so again would hide why.
      if (this.#database.inTransaction) this.#database.exec('rollback');
      throw cause;
    }
  }

  readonly #ask: Ask = (sql, parameters) => this.#prepared(sql).all(...parameters);

  #prepared(sql: string) {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** An event, with its reason as JSON. */
type EventRow = Omit<StoredEvent, 'reason'> & { readonly reason: string | null };

/** Whose an event is: of a workspace, else of a slot. */
const ownerOfEvent = `case when workspace_id is null
  then (select body ->> '$.owner' from slots where slots.id = slot_id)
  else (select owner from workspaces where workspaces.id = workspace_id) end`;

/** What becomes of what is retired, after its newest version has been stored. */
function retirements({ retired }: Commit): readonly (readonly [string, readonly unknown[]])[] {
  const workspaces = retired.flatMap(each => each.workspaces);
  const ids = workspaces.map(({ id }) => id);
  return [
    [retireIn('workspaces'), ids],
    [retireIn('slots'), retired.flatMap(({ slotId }) => slotId ?? [])],
    [retireIn('vms'), retired.flatMap(({ vmIds }) => vmIds)],
    [addUsed, workspaces.map(each => [each.owner, each.project ?? '', chargeOf(each).vmMs])],
    [keepRuns, ids],
  ];
}

function eventRow(event: Commit['events'][number], recordedAt: number): readonly unknown[] {
  const { at, type, workspaceId, slotId, vmId, node, reason } = event;
  return [at, recordedAt, type, workspaceId, slotId, vmId, node, reason && JSON.stringify(reason)];
}
