import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import type { Log, LogFields } from '../../src/platform/log.ts';
import { noQuota } from '../../src/lease/quota.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { Accounts } from '../../src/service/access/accounts.ts';
import { Logins } from '../../src/service/access/logins.ts';
import { Sessions } from '../../src/service/access/sessions.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { AuditLog } from '../../src/service/access/audit.ts';
import { Callers } from '../../src/service/access/callers.ts';
import type { Store } from '../../src/service/store/store.ts';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import { maySee } from '../../src/service/api/owners.ts';
import { Webhooks } from '../../src/service/notify/webhooks.ts';
import { buildApp } from '../../src/service/api/app.ts';
import type { Engine } from '../../src/service/core/engine-api.ts';
import { type SceneEngine, sceneEngine } from './scene-engine.ts';

/** Tokens of the API's tests: the token is `token-of-` and the user. `olga` is an operator. */
const users = ['admin', 'ann', 'bob', 'olga'];

/** Where webhooks may go: nothing is there. */
const nowhere = '10.255.0.1/32';

/** The API before a fake engine; not listening. */
export interface TestApi {
  readonly app: FastifyInstance;
  readonly engine: SceneEngine;
  readonly accounts: Accounts;
  readonly webhooks: Webhooks;
  /** What was logged, messages and fields. */
  readonly logged: { readonly message: string; readonly fields: LogFields }[];
  /** A request as this user. */
  as(user: string): { authorization: string };
  /** Begins to listen on a free port of the loopback. */
  listen(): Promise<string>;
}

export async function testApi(
  clock: Clock = systemClock,
  rate = { perSecond: 1_000, burst: 10_000 },
  logins = noLogins(clock),
): Promise<TestApi> {
  const engine = await sceneEngine();
  return { ...(await apiOver(engine, clock, rate, logins)), engine };
}

/** The accounts of `users`, of whom olga is an operator. */
async function ordinaryAccounts(clock: Clock, store: Store): Promise<Accounts> {
  const accounts = new Accounts({
    clock,
    random: systemRandom,
    store,
    file: { users: () => users, userOf: token => users.find(user => token === `token-of-${user}`) },
    quotas: { user: noQuota, project: noQuota },
    quotasChanged: () => undefined,
  });
  await accounts.load();
  await accounts.changeUser('olga', { role: 'operator' });
  return accounts;
}

/** The API before any engine. */
export async function apiOver(
  engine: Engine,
  clock: Clock,
  rate = { perSecond: 1_000, burst: 10_000 },
  logins = noLogins(clock),
): Promise<Omit<TestApi, 'engine'>> {
  const logged: TestApi['logged'] = [];
  const store = openSqliteStore({ directory: ':memory:' });
  const accounts = await ordinaryAccounts(clock, store);
  const webhooks = new Webhooks({
    clock,
    random: systemRandom,
    log: keepingLog(logged),
    store,
    engine,
    allowed: [nowhere],
    callerOfUser: user => accounts.callerOfUser(user),
    maySee,
  });
  const sessions = new Sessions({ clock, random: systemRandom });
  const app = await buildApp({
    engine,
    agentPools: [],
    accounts,
    logins,
    sessions,
    callers: new Callers({ accounts, sessions, clock }),
    audit: new AuditLog(store, keepingLog(logged)),
    webhooks,
    rate,
    images: { read: () => ({ images: [], problems: [] }) },
    version: '1.2.3',
    clock,
    random: systemRandom,
    log: keepingLog(logged),
  });
  return {
    app,
    accounts,
    webhooks,
    logged,
    as: user => ({ authorization: `Bearer token-of-${user}` }),
    async listen() {
      if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 });
      return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    },
  };
}

function keepingLog(logged: { message: string; fields: LogFields }[], always: LogFields = {}): Log {
  const keep = (message: string, fields: LogFields = {}): void =>
    void logged.push({ message, fields: { ...always, ...fields } });
  return {
    debug: keep,
    info: keep,
    warn: keep,
    error: keep,
    with: fields => keepingLog(logged, { ...always, ...fields }),
  };
}

function noLogins(clock: Clock): Logins {
  return new Logins({
    clock,
    random: systemRandom,
    processes: systemProcesses,
    directory: null,
    mungeSocket: null,
    ownUid: 0,
    names: () => new Set(),
  });
}
