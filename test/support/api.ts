import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import type { Log, LogFields } from '../../src/platform/log.ts';
import { buildApp } from '../../src/service/api/app.ts';
import { FakeEngine } from './fake-engine.ts';

/** Tokens of the API's tests: the token is `token-of-` and the user. */
const users = ['admin', 'ann', 'bob'];

/** The API before a fake engine; not listening. */
export interface TestApi {
  readonly app: FastifyInstance;
  readonly engine: FakeEngine;
  /** What was logged, messages and fields. */
  readonly logged: { readonly message: string; readonly fields: LogFields }[];
  /** A request as this user. */
  as(user: string): { authorization: string };
  /** Begins to listen on a free port of the loopback. */
  listen(): Promise<string>;
}

export async function testApi(clock: Clock = systemClock): Promise<TestApi> {
  const engine = new FakeEngine();
  const logged: TestApi['logged'] = [];
  const app = await buildApp({
    engine,
    tokens: { userOf: token => users.find(user => token === `token-of-${user}`) },
    images: { read: () => ({ images: [], problems: [] }) },
    lrmKind: 'fake',
    version: '1.2.3',
    clock,
    log: keepingLog(logged),
  });
  return {
    app,
    engine,
    logged,
    as: user => ({ authorization: `Bearer token-of-${user}` }),
    async listen() {
      await app.listen({ host: '127.0.0.1', port: 0 });
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
