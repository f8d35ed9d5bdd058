import Database from 'libsql';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WspError } from '../../protocol/errors.ts';

/**
 * Makes sure that one service at a time uses a state directory: an exclusive SQLite transaction on an empty database beside the real one,
 * held for life. That is a file lock of the kernel's, so it cannot go stale however the holder dies; and the real database stays readable
 * for an administrator's `sqlite3`. `service.pid` only makes the message better.
 * Returns the way to give it free. Throws `WspError` (`conflict`).
 */
export function lockStateDir(directory: string): () => void {
  const lockFile = join(directory, 'service.lock');
  const pidFile = join(directory, 'service.pid');
  closeSync(openSync(lockFile, 'a', 0o600));
  const lock = new Database(lockFile);
  try {
    lock.exec('pragma busy_timeout = 0; begin exclusive');
  } catch (cause) {
    lock.close();
    if (!/locked|busy/i.test(String(cause))) throw cause;
    throw new WspError(
      'conflict',
      `another service${holder(pidFile)} uses the state directory ${directory}`,
      {
        hint: 'stop it first, or give this one another service.stateDir in its site file',
        cause,
      },
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  return () => {
    rmSync(pidFile, { force: true });
    lock.close();
  };
}

function holder(pidFile: string): string {
  try {
    return ` (process ${readFileSync(pidFile, 'utf8').trim()})`;
  } catch {
    return '';
  }
}
