import type { StaticLrm } from '../../lrm/static/static.ts';
import type { Rate } from '../../platform/token-bucket.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Random } from '../../platform/random.ts';
import type { Accounts } from '../access/accounts.ts';
import type { AuditLog } from '../access/audit.ts';
import type { Callers } from '../access/callers.ts';
import type { Logins } from '../access/logins.ts';
import type { Sessions } from '../access/sessions.ts';
import type { Engine } from '../core/engine-api.ts';
import type { Webhooks } from '../notify/webhooks.ts';
import type { TlsFiles } from './tls.ts';
import type { ImageCatalogue } from '../images/images.ts';

/** What the API stands on. */
export interface ApiParts {
  readonly engine: Engine;
  readonly accounts: Accounts;
  readonly logins: Logins;
  readonly sessions: Sessions;
  readonly callers: Callers;
  readonly audit: AuditLog;
  readonly webhooks: Webhooks;
  /** What each user may ask. */
  readonly rate: Rate;
  readonly images: ImageCatalogue;
  /** The product's. */
  readonly version: string;
  /** Pools of static nodes. */
  readonly agentPools: readonly AgentPool[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles | undefined;
  /** Requests wait for it. Absent: they need not. */
  readonly ready?: Promise<void>;
}

/** A pool that agents may join. */
export interface AgentPool {
  readonly name: string;
  readonly lrm: Pick<StaticLrm, 'attach'>;
  /** Whether this is the pool's join secret; compared in constant time. */
  readonly isSecret: (secret: string) => boolean;
}
