import Database from 'libsql';
import { closeSync, existsSync, linkSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncToDisk } from '../../platform/own-file.ts';
import { WspError } from '../../protocol/errors.ts';

/** What is in a copy of a database. */
export interface Copied {
  readonly bytes: number;
  /** Of which version its tables are (`migrations.ts`): an older program refuses a newer one. */
  readonly schema: number;
  readonly workspaces: number;
  /** Those of them that have not ended. */
  readonly live: number;
  readonly events: number;
}

/**
 * Copies a store's database, which a service may write to, into a file that is not there yet.
 *
 *   source ─ one read transaction: VACUUM INTO ─► FILE.<pid>.part ─ fsync ─ link ─► FILE
 *
 * Nobody waits for it: readers of a write-ahead log and its writer do not see each other. The copy is
 * the state after some commit, whole, with its log in it.
 * If we crash here: only a `.part` is left; FILE is all of a copy or not there.
 * Throws `WspError`: `conflict` (the file is there), `failed` (it cannot be written, or read).
 */
export function copyDatabase(source: string, file: string): Copied {
  if (existsSync(file)) throw isThere(file);
  const part = `${file}.${process.pid}.part`;
  try {
    // SQLite takes an empty file as it takes none, and this one nobody else can read.
    closeSync(openSync(part, 'wx', 0o600));
    withDatabase(source, database => database.prepare('vacuum into ?').run(part));
    const found = withDatabase(part, lookInto);
    syncToDisk(part);
    // Unlike a renaming, this fails when somebody else has made the file meanwhile.
    linkSync(part, file);
    syncToDisk(dirname(file));
    return { bytes: statSync(file).size, ...found };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw isThere(file);
    const words = (cause as Error).message;
    throw new WspError('failed', `${source} could not be copied to ${file}: ${words}`, {
      hint: 'run it as the user of the service, and name a file where that user can write and has room',
      cause,
    });
  } finally {
    for (const end of ['', '-wal', '-shm', '-journal']) rmSync(part + end, { force: true });
  }
}

function withDatabase<T>(file: string, use: (database: Database.Database) => T): T {
  const database = new Database(file);
  try {
    // A program that repairs its log after a crash holds the database for a moment.
    database.exec('pragma busy_timeout = 5000');
    return use(database);
  } finally {
    database.close();
  }
}

/** Of any version of the schema. */
function lookInto(database: Database.Database): Omit<Copied, 'bytes'> {
  const ended = "json_valid(body) and body ->> '$.state' = 'ended'";
  return database
    .prepare(
      `select (select user_version from pragma_user_version) as schema,
         (select count(*) from workspaces) as workspaces,
         (select count(*) from workspaces where not (${ended})) as live,
         (select count(*) from events) as events`,
    )
    .get() as Omit<Copied, 'bytes'>;
}

function isThere(file: string): WspError {
  return new WspError('conflict', `${file} is there already; nothing was written`, {
    hint: 'name a file that is not there: a backup never takes the place of another',
  });
}
