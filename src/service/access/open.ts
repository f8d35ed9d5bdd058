import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { systemProcesses } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import { WspError } from '../../protocol/errors.ts';
import { maySee } from '../api/owners.ts';
import type { SiteConfig } from '../config/site.ts';
import type { Engine } from '../core/engine-api.ts';
import { Webhooks } from '../notify/webhooks.ts';
import type { Store } from '../store/store.ts';
import { Accounts } from './accounts.ts';
import { AuditLog } from './audit.ts';
import { Callers } from './callers.ts';
import { Logins } from './logins.ts';
import { Sessions } from './sessions.ts';
import type { Tokens } from './tokens.ts';

/**
 * Who may do what, the log of it, and who is told. Throws `WspError` (`failed`) when the login
 * directory cannot be made.
 */
export async function openAccess(
  site: SiteConfig,
  store: Store,
  file: Tokens,
  engine: Engine,
  log: Log,
  names: () => ReadonlySet<string>,
) {
  const parts = { clock: systemClock, random: systemRandom, store };
  const accounts = new Accounts({
    ...parts,
    file,
    quotas: site.quotas,
    quotasChanged: quotas => engine.changeQuotas(quotas),
  });
  await accounts.load();
  const webhooks = new Webhooks({
    ...parts,
    log,
    engine,
    allowed: site.webhooksAllow,
    callerOfUser: user => accounts.callerOfUser(user),
    maySee,
  });
  const logins = new Logins({
    ...parts,
    directory: site.socket === null ? null : join(dirname(site.socket), 'login'),
    mungeSocket: site.munge,
    processes: systemProcesses,
    ownUid: userInfo().uid,
    names,
  });
  await logins.open().catch((cause: unknown) => {
    throw new WspError('failed', `the login directory cannot be made: ${(cause as Error).message}`, {
      hint: 'change service.socket in the site file, or make its directory and give it to the user of the service',
      cause,
    });
  });
  const sessions = new Sessions(parts);
  const callers = new Callers({ ...parts, accounts, sessions });
  return { accounts, webhooks, audit: new AuditLog(store, log), logins, sessions, callers };
}
