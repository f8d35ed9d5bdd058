import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SceneEngine, sceneEngine } from '../../../test/support/scene-engine.ts';
import { silentLog } from '../../platform/log.ts';
import { systemRandom } from '../../platform/random.ts';
import { createVirtualClock, type VirtualClock } from '../../platform/virtual-clock.ts';
import type { EventView } from '../../protocol/api.ts';
import type { Caller } from '../access/accounts.ts';
import { maySee } from '../api/owners.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../store/store.ts';
import type { LookUp } from './addresses.ts';
import { Webhooks } from './webhooks.ts';

interface Received {
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
  readonly event: EventView;
}

let clock: VirtualClock;
let engine: SceneEngine;
let store: Store;
let webhooks: Webhooks;
let server: Server;
let url: string;
let received: Received[];
/** What the receiver answers; the last one for all that follow. */
let answers: number[];
/** Where its answers send one. */
let location: string | undefined;
let disabled: boolean;
/** What the receiver waits for before it answers. */
let held: Promise<void> | undefined;

function open(allowed = ['127.0.0.0/8'], lookUp?: LookUp): Webhooks {
  const caller: Caller = { user: 'ann', role: 'user', scope: 'full', projects: [], tokenId: null };
  return new Webhooks({
    clock,
    random: systemRandom,
    log: silentLog,
    store: {
      loadAccess: () => store.loadAccess(),
      putAccess: rows => store.putAccess(rows),
      lastEvent: () => engine.lastEvent(),
    },
    engine,
    allowed,
    ...(lookUp === undefined ? {} : { lookUp }),
    callerOfUser: user => (disabled ? undefined : { ...caller, user }),
    maySee,
  });
}

beforeEach(async () => {
  clock = createVirtualClock(0);
  engine = await sceneEngine();
  engine.addWorkspace({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
  engine.addWorkspace({ id: 'ws-bbbbbbbbbb', owner: 'bob' });
  store = openSqliteStore({ directory: ':memory:' });
  [received, answers, disabled, location, held] = [[], [200], false, undefined, undefined];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', chunk => (body += String(chunk)));
    const answer = (): void => {
      const status = (answers.length > 1 ? answers.shift() : answers[0]) ?? 200;
      response.writeHead(status, location === undefined ? {} : { location }).end();
    };
    request.on('end', () => {
      received.push({ headers: request.headers, body, event: JSON.parse(body) as EventView });
      if (held) void held.then(answer);
      else answer();
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?x=1`;
  webhooks = open();
});
afterEach(async () => {
  await webhooks.stop();
  expect(engine.waiting).toBe(0);
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
});

const mine = { workspaceId: 'ws-aaaaaaaaaa' };
const theirs = { workspaceId: 'ws-bbbbbbbbbb' };
const seqs = (): readonly number[] => received.map(({ event }) => event.seq);
const until = (what: () => unknown) => expect.poll(what, { interval: 5, timeout: 10_000 });
/** Lets the waits between tries pass, as fast as they come. */
async function untilReceived(count: number): Promise<void> {
  await until(() => {
    clock.runNext();
    return received.length;
  }).toBeGreaterThanOrEqual(count);
}

/** What its owner is told of a webhook that never gets there. */
const failed =
  'the receiver did not answer with HTTP 2xx within 10s, or webhooks of this site may not go there';
async function failureOf(target: string): Promise<string | undefined> {
  const { id } = await webhooks.create('ann', null, { url: target });
  engine.tell(mine);
  await until(() => {
    clock.runNext();
    return webhooks.deadLetters(id).length;
  }).toBe(1);
  const [letter] = webhooks.deadLetters(id);
  await webhooks.remove(id);
  return letter?.error;
}

describe('a webhook', () => {
  it('gets the events that its owner may see, from now on, in order, signed', async () => {
    engine.tell(mine);
    const { secret } = await webhooks.create('ann', null, { url });
    engine.tell(theirs);
    engine.tell(mine);
    engine.tell(mine);
    await until(seqs).toEqual([3, 4]);
    const [first] = received;
    // As docs/webhooks.md says that a receiver does it.
    const signed = `${String(first?.headers['x-wsp-timestamp'])}.${first?.body}`;
    expect(first?.headers['x-wsp-timestamp']).toMatch(/^\d+$/);
    expect(first?.headers['x-wsp-signature']).toBe(
      `sha256=${createHmac('sha256', secret).update(signed).digest('hex')}`,
    );
    expect(first?.headers['x-wsp-event']).toBe('3');
    await until(() => webhooks.of('ann')[0]?.deliveredUpTo).toBe(4);
  });

  it('of one workspace, of some types, gets only those', async () => {
    await webhooks.create('ann', 'ws-aaaaaaaaaa', { url, types: ['vm.failed'] });
    engine.tell({ ...mine, type: 'vm.running' });
    engine.tell({ ...mine, type: 'vm.failed' });
    engine.tell({ ...theirs, type: 'vm.failed' });
    engine.tell({ ...mine, type: 'vm.failed' });
    await until(seqs).toEqual([2, 4]);
  });

  it('is tried again until it takes the event; nothing overtakes', async () => {
    answers = [500, 302, 200];
    await webhooks.create('ann', null, { url });
    engine.tell(mine);
    engine.tell(mine);
    await untilReceived(4);
    expect(seqs()).toEqual([1, 1, 1, 2]);
  });

  it.each([
    ['webhook', { id: 'x' }, 'webhook x: its field owner is not text'],
    ['dead-letter', { hook: 'x', event: '1' }, 'dead letter x: its field event is not number'],
  ] as const)('whose document of kind %s cannot be read stops the start', async (kind, body, words) => {
    await store.putAccess([{ kind, id: 'x', body }]);
    await expect(webhooks.start()).rejects.toMatchObject({
      code: 'failed',
      message: expect.stringContaining(words) as string,
    });
  });

  it('goes on where it was when the service is started again', async () => {
    await webhooks.create('ann', null, { url });
    engine.tell(mine);
    await until(() => webhooks.of('ann')[0]?.deliveredUpTo).toBe(1);
    await webhooks.stop();
    engine.tell(mine);
    webhooks = open();
    await webhooks.start();
    await until(seqs).toEqual([1, 2]);
  });

  it('leaves dead letters, stops after five in a row, and goes on when it is resumed', async () => {
    answers = [500];
    const { id } = await webhooks.create('ann', null, { url });
    for (let count = 0; count < 7; count++) engine.tell(mine);
    await untilReceived(5 * 12);
    await until(() => {
      clock.runNext();
      return webhooks.of('ann')[0]?.stopped;
    }).toBe(`5 events in a row could not be delivered: ${failed}`);
    expect(webhooks.deadLetters(id).map(({ event, attempts }) => `${event} ${attempts}`)).toEqual(
      [1, 2, 3, 4, 5].map(event => `${event} 12`),
    );
    expect(received).toHaveLength(60);
    await webhooks.stop();
    webhooks = open();
    await webhooks.start();
    expect(webhooks.of('ann')).toMatchObject([{ deadLetters: 5, deliveredUpTo: 5 }]);
    answers = [200];
    expect(await webhooks.resume(id)).toMatchObject({ stopped: null });
    await until(() => seqs().slice(60)).toEqual([6, 7]);
    await webhooks.remove(id);
    expect(await store.loadAccess()).toEqual([]);
  });

  it.each([
    [1, 200],
    [12, 500],
  ])(
    'stays removed when it was tried for the %dth time, which is answered with %d',
    async (tries, status) => {
      const { id } = await webhooks.create('ann', null, { url });
      answers = [status];
      engine.tell(mine);
      let answer: () => void = () => undefined;
      if (tries > 1) await untilReceived(tries - 1);
      held = new Promise(resolve => {
        answer = resolve;
      });
      await untilReceived(tries);
      await webhooks.remove(id);
      answer();
      // What another one is told comes after it.
      [held, answers] = [undefined, [200]];
      await webhooks.create('ann', null, { url });
      engine.tell(mine);
      await until(() => webhooks.of('ann').map(({ deliveredUpTo }) => deliveredUpTo)).toEqual([2]);
      const kept = await store.loadAccess();
      expect(kept.map(each => [each.kind, each.id === id])).toEqual([['webhook', false]]);
    },
  );

  it('tells nothing to one who may not see it any more', async () => {
    await webhooks.create('ann', null, { url });
    disabled = true;
    engine.tell(mine);
    await until(() => webhooks.of('ann')[0]?.deliveredUpTo).toBe(1);
    expect(received).toEqual([]);
  });

  it.each([
    ['http://127.0.0.1:9/', 'forbidden'],
    ['http://10.1.2.3/', 'forbidden'],
    ['http://[::127.0.0.1]/', 'forbidden'],
    ['http://[64:ff9b::a9fe:a9fe]/', 'forbidden'],
    ['http://017700000001/', 'forbidden'],
    ['http://169.254.169.254/latest/meta-data', 'forbidden'],
    ['http://[::1]/', 'forbidden'],
    ['http://2130706433/', 'forbidden'],
    ['http://me:secret@10.255.0.1/', 'invalid_request'],
  ])('to %s is refused (%s), unless the site opens it', async (forbidden, code) => {
    await webhooks.stop();
    webhooks = open([]);
    await expect(webhooks.create('ann', null, { url: forbidden })).rejects.toMatchObject({ code });
  });

  it('to a name that means the head node is never sent', async () => {
    await webhooks.stop();
    webhooks = open([]);
    expect(await failureOf(url.replace('127.0.0.1', 'localhost'))).toBe(failed);
    expect(received).toEqual([]);
  });

  it('security 17: to a name that means the head node from the second time on is sent once', async () => {
    await webhooks.stop();
    let asked = 0;
    const lookUp: LookUp = (_hostname, _options, callback) => {
      asked += 1;
      callback(null, [{ address: asked === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]);
    };
    webhooks = open(['127.0.0.1/32'], lookUp);
    answers = [500];
    expect(await failureOf(url.replace('127.0.0.1', 'hooks.example'))).toBe(failed);
    expect([asked, received.length]).toEqual([12, 1]);
  });

  it('security 17: to a network that the site has closed since is not sent any more', async () => {
    const { id } = await webhooks.create('ann', null, { url });
    await webhooks.stop();
    webhooks = open([]);
    await webhooks.start();
    engine.tell(mine);
    await until(() => {
      clock.runNext();
      return webhooks.deadLetters(id)[0]?.error;
    }).toBe(failed);
    expect(received).toEqual([]);
  });

  it('security 17: follows no redirect', async () => {
    [answers, location] = [[307], url.replace('/hook', '/elsewhere')];
    expect(await failureOf(url)).toBe(failed);
    expect(received).toHaveLength(12);
  });

  it('security 17: says the same of every failure, after the same time', async () => {
    const closed = createServer();
    await new Promise<void>(resolve => closed.listen(0, '127.0.0.1', resolve));
    const nobody = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/`;
    await new Promise(resolve => closed.close(resolve));
    answers = [404];
    const told = new Set<string>();
    for (const each of [nobody, url, url.replace('http:', 'https:'), url.replace('127.0.0.1', 'localhost')]) {
      const begun = clock.now();
      told.add(`${await failureOf(each)} after ${clock.now() - begun} ms`);
    }
    expect([...told]).toHaveLength(1);
  });

  it('is one of twenty at most', async () => {
    for (let count = 0; count < 20; count++) await webhooks.create('ann', null, { url });
    await expect(webhooks.create('ann', null, { url })).rejects.toMatchObject({ code: 'conflict' });
  });
});
