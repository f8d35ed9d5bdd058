import { WspError } from '../../protocol/errors.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

/** The service's store in its state directory, which it locks. Throws `WspError` (`failed`) that says what to do. */
export function openStore(directory: string): Store {
  try {
    return openSqliteStore({ directory });
  } catch (cause) {
    if (cause instanceof WspError)
      throw new WspError('failed', cause.message, { hint: cause.hint ?? '', cause });
    throw new WspError(
      'failed',
      `the state directory ${directory} cannot be used: ${(cause as Error).message}`,
      {
        hint: 'check service.stateDir in the site file, its permissions and the free space there',
        cause,
      },
    );
  }
}
