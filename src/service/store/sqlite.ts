import Database from 'libsql';
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { sharedWith } from '../../platform/directory.ts';
import { chargeOf } from '../../lease/quota.ts';
import type { Slot, Vm, Workspace } from '../../lease/model.ts';
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
import { addUsed, type Ask, keepRuns, readPastUse, readSlots, readWorkspaces, retireIn } from './past.ts';
import type { AccessRow, AuditEntry, Commit, EventQuery, Store, StoredState } from './store.ts';
import { formatMoment } from '../../protocol/units.ts';

/**
 * The store on SQLite: Kysely over libsql, one file `wsp.db`.
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
export interface SqliteStoreOptions {
  /** A directory, made with mode 0700 when absent; or `:memory:` for a store that dies with the process. */
  readonly directory: string;
}

/**
 * Opens and migrates. Throws `WspError`: `conflict` (another service holds it), `failed` (made by a
 * newer version, or others could write there).
 */
export function openSqliteStore({ directory }: SqliteStoreOptions): Store {
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

/** The database of a state directory. */
export function databaseIn(directory: string): string {
  return join(directory, 'wsp.db');
}

/**
 * Who could write to it could put a database of theirs, with users and tokens, in place of ours.
 */
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
  readonly #db: Kysely<never>;
  readonly #unlock: () => void;

  constructor(database: Database.Database, unlock: () => void) {
    this.#db = new Kysely<never>({ dialect: new SqliteDialect({ database: cachingStatements(database) }) });
    this.#unlock = unlock;
  }

  async load(): Promise<StoredState> {
    await refuseUnreadPast(this.#ask);
    const inMemory = (table: 'workspaces' | 'slots' | 'vms'): Promise<readonly DocumentRow[]> =>
      this.#ask(`select id, version, body from ${table} where retired = 0 order by rowid`, []);
    const owed = 'select key as id, version, body from outbox order by number';
    const secrets = await this.#rows<{ key: string; value: string }>('select key, value from secrets', []);
    return {
      workspaces: (await inMemory('workspaces')).map(readWorkspace),
      slots: (await inMemory('slots')).map(readSlot),
      vms: (await inMemory('vms')).map(readVm),
      effects: (await this.#ask<DocumentRow>(owed, [])).map(readEffect),
      secrets: new Map(secrets.map(({ key, value }) => [key, value])),
      used: await this.#ask("select owner, nullif(project, '') as project, vm_ms as vmMs from used", []),
    };
  }

  async commit(commit: Commit): Promise<void> {
    const entity = (row: Workspace | Slot | Vm): [string, string] => [row.id, JSON.stringify(row)];
    const writes: readonly (readonly [string, readonly unknown[]])[] = [
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
    ];
    await this.#db.transaction().execute(async transaction => {
      for (const [sql, rows] of writes)
        if (rows.length > 0) await transaction.executeQuery(CompiledQuery.raw(sql, [JSON.stringify(rows)]));
    });
  }

  workspaces(query: WorkspaceQuery): ReturnType<Store['workspaces']> {
    return readWorkspaces(this.#ask, query);
  }

  slots(ids: readonly string[]): ReturnType<Store['slots']> {
    return readSlots(this.#ask, ids);
  }

  pastUse(...period: Parameters<Store['pastUse']>): ReturnType<Store['pastUse']> {
    return readPastUse(this.#ask, ...period);
  }

  async events({
    after,
    workspaceId,
    workspaceIds,
    types,
    limit,
  }: EventQuery): Promise<readonly StoredEvent[]> {
    const conditions: readonly (readonly [string, unknown])[] = [
      ['seq > ?', after],
      ...(workspaceId === undefined ? [] : [['workspace_id = ?', workspaceId] as const]),
      ...(workspaceIds === undefined
        ? []
        : [['workspace_id in (select value from json_each(?))', JSON.stringify(workspaceIds)] as const]),
      ...(types === undefined
        ? []
        : [['type in (select value from json_each(?))', JSON.stringify(types)] as const]),
    ];
    const rows = await this.#rows<EventRow>(
      `select seq, at, recorded_at, type, workspace_id, slot_id, vm_id, node, reason, ${ownerOfEvent} as owner from events
       where ${conditions.map(([condition]) => condition).join(' and ')} order by seq limit ?`,
      [...conditions.map(([, value]) => value), limit],
    );
    return rows.map(storedEvent);
  }

  async lastEvent(): Promise<number> {
    const [row] = await this.#rows<{ last: number | null }>('select max(seq) as last from events', []);
    return row?.last ?? 0;
  }

  async loadAccess(): Promise<readonly AccessRow[]> {
    const rows = await this.#rows<DocumentRow & Pick<AccessRow, 'kind'>>(
      'select kind, id, version, body from access order by rowid',
      [],
    );
    return rows.map(readAccess);
  }

  async putAccess(rows: readonly AccessRow[]): Promise<void> {
    const kept = rows.filter(({ body }) => body !== null);
    const dropped = rows.filter(({ body }) => body === null);
    await this.#db.transaction().execute(async transaction => {
      for (const [sql, values] of [
        [statements.access, kept.map(({ kind, id, body }) => [kind, id, JSON.stringify(body)])],
        [statements.dropAccess, dropped.map(({ kind, id }) => [kind, id])],
      ] as const)
        if (values.length > 0)
          await transaction.executeQuery(CompiledQuery.raw(sql, [JSON.stringify(values)]));
    });
  }

  async appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    await this.#rows(statements.audit, [JSON.stringify(entries.map(entry => JSON.stringify(entry)))]);
  }

  async audit({
    before,
    limit,
    user,
    sinceAt,
  }: Parameters<Store['audit']>[0]): Promise<readonly AuditView[]> {
    const since = sinceAt === undefined ? null : formatMoment(sinceAt);
    const rows = await this.#rows<{ seq: number; body: string }>(
      `select seq, body from audit where seq < ?1
       and (?2 is null or json_extract(body, '$.user') = ?2) and (?3 is null or json_extract(body, '$.at') >= ?3)
       order by seq desc limit ?4`,
      [before, user ?? null, since, limit],
    );
    return rows.map(({ seq, body }) => ({ seq, ...(JSON.parse(body) as AuditEntry) }));
  }

  async close(): Promise<void> {
    try {
      await this.#db.destroy();
    } finally {
      this.#unlock();
    }
  }

  readonly #ask: Ask = (sql, parameters) => this.#rows(sql, parameters);

  async #rows<T>(sql: string, parameters: readonly unknown[]): Promise<readonly T[]> {
    return (await this.#db.executeQuery<T>(CompiledQuery.raw(sql, [...parameters]))).rows;
  }
}

interface EventRow {
  readonly seq: number;
  readonly at: number;
  readonly recorded_at: number;
  readonly type: string;
  readonly workspace_id: string | null;
  readonly slot_id: string | null;
  readonly vm_id: string | null;
  readonly node: string | null;
  readonly reason: string | null;
  readonly owner: string | null;
}

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

function storedEvent(row: EventRow): StoredEvent {
  return {
    seq: row.seq,
    at: row.at,
    recordedAt: row.recorded_at,
    type: row.type,
    workspaceId: row.workspace_id,
    slotId: row.slot_id,
    vmId: row.vm_id,
    node: row.node,
    owner: row.owner,
    reason: row.reason === null ? null : (JSON.parse(row.reason) as StoredEvent['reason']),
  };
}

/** Kysely prepares a statement for each execution; ours are a dozen texts, so each is prepared once. */
function cachingStatements(database: Database.Database): SqliteDatabase {
  const cache = new Map<string, SqliteStatement>();
  return {
    close() {
      cache.clear();
      database.close();
    },
    prepare(sql) {
      const known = cache.get(sql);
      if (known) return known;
      const statement = database.prepare(sql) as unknown as SqliteStatement;
      cache.set(sql, statement);
      return statement;
    },
  };
}
