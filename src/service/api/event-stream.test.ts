import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { sceneEngine } from '../../../test/support/scene-engine.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import type { Caller } from '../access/accounts.ts';
import { eventFeed } from './event-feed.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
  api.engine.addWorkspace({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
  api.engine.addWorkspace({ id: 'ws-bbbbbbbbbb', owner: 'bob' });
});
afterEach(() => api.app.close());
const mine = { workspaceId: 'ws-aaaaaaaaaa' };
const theirs = { workspaceId: 'ws-bbbbbbbbbb' };

/** Reads a stream until it has brought `count` events; their ids. The connection is cut then. */
async function take(count: number, headers: Record<string, string> = {}, query = ''): Promise<number[]> {
  const cut = new AbortController();
  const answer = await fetch(`${await api.listen()}/v1/events/stream${query}`, {
    headers: { ...api.as('ann'), ...headers },
    signal: cut.signal,
  });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  let text = '';
  const ids = (): number[] =>
    [...text.matchAll(/^id: (\d+)\nevent: \S+\ndata: \{.*\}$/gm)].map(([, id]) => Number(id));
  const reader = answer.body?.getReader();
  while (reader && ids().length < count) text += Buffer.from((await reader.read()).value ?? []).toString();
  cut.abort();
  return ids();
}

describe('the event stream', () => {
  it('brings the history and then what happens, of what one may see', async () => {
    api.engine.tell(mine);
    api.engine.tell(theirs);
    const taken = take(3);
    await expect.poll(() => api.engine.waiting).toBeGreaterThan(0);
    api.engine.tell(mine);
    api.engine.tell(theirs);
    api.engine.tell(mine);
    expect(await taken).toEqual([1, 3, 5]);
  });

  it('goes on after the last event that the client has', async () => {
    for (let count = 0; count < 6; count++) api.engine.tell(mine);
    expect(await take(2, { 'last-event-id': '4' })).toEqual([5, 6]);
    expect(await take(2, { 'last-event-id': '4' }, '?after=1')).toEqual([5, 6]);
    expect(await take(3, {}, '?after=3')).toEqual([4, 5, 6]);
  });

  it('is of one workspace when that is asked for', async () => {
    for (let count = 0; count < 3; count++) {
      api.engine.tell(theirs);
      api.engine.tell(mine);
    }
    expect(await take(3, {}, '?workspace=ws-aaaaaaaaaa')).toEqual([2, 4, 6]);
  });

  it.each([
    ['Last-Event-ID', { 'last-event-id': 'x1' }, '', 400],
    ['after', {}, '?after=-1', 400],
    ['workspace', {}, '?workspace=ws-bbbbbbbbbb', 404],
  ])('is refused for a bad %s', async (_, headers, query, status) => {
    const answer = await api.app.inject({
      url: `/v1/events/stream${query}`,
      headers: { ...api.as('ann'), ...headers },
    });
    expect(answer.statusCode).toBe(status);
  });

  it('ends when the service stops', async () => {
    const answer = await fetch(`${await api.listen()}/v1/events/stream`, { headers: api.as('ann') });
    await expect.poll(() => api.engine.waiting).toBeGreaterThan(0);
    const ended = answer.text();
    await api.app.close();
    expect(await ended).toContain('retry: 1000');
  });
});

describe('security 15: an event stream', () => {
  const waiting = (): unknown => expect.poll(() => api.engine.waiting).toBeGreaterThan(0);
  /**
   * A stream in the name of a token of ann's, which is quiet; what it had brought when it ended.
   */
  async function opened(lifetimeMs = 3_600_000) {
    const { id, token } = await api.accounts.giveToken('ann', { lifetimeMs });
    const answer = await fetch(`${await api.listen()}/v1/events/stream`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(200);
    await waiting();
    return { id, brought: answer.text() };
  }

  it('ends at once when its token is revoked; that of another token goes on', async () => {
    const other = take(1);
    const { id, brought } = await opened();
    await api.accounts.revokeToken(id);
    expect(await brought).toBe('retry: 1000\n\n');
    api.engine.tell(mine);
    expect(await other).toEqual([1]);
  });

  it('ends at once when its user is disabled', async () => {
    const { brought } = await opened();
    await api.accounts.changeUser('ann', { disabled: true });
    expect(await brought).toBe('retry: 1000\n\n');
  });

  it('ends soon after its token has expired, without an event', async () => {
    const clock = createVirtualClock(0);
    await api.app.close();
    api = await testApi(clock);
    const { brought } = await opened(20_000);
    await clock.advanceBy(19_999);
    await waiting();
    await clock.advanceBy(15_000);
    expect(await brought).toMatch(/^retry: 1000\n\n(: still here\n\n)+$/);
  });

  it('ends also when its client does not read', async () => {
    const { id, token } = await api.accounts.giveToken('ann', {});
    for (let count = 0; count < 20_000; count++)
      api.engine.tell({ ...mine, reason: { code: 'failed', message: 'x'.repeat(1_000) } });
    const { hostname, port } = new URL(await api.listen());
    const connected = once(api.app.server, 'connection') as Promise<[Socket]>;
    const socket = connect(Number(port), hostname);
    socket.write(`GET /v1/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
    const [served] = await connected;
    await expect.poll(() => served.writableNeedDrain, { timeout: 20_000 }).toBe(true);
    const connections = () =>
      new Promise<number>((resolve, reject) => {
        api.app.server.getConnections((failure, count) => (failure ? reject(failure) : resolve(count)));
      });
    expect(await connections()).toBe(1);
    await api.accounts.revokeToken(id);
    await expect.poll(connections).toBe(0);
    socket.destroy();
  });

  it('a long poll is answered with what it is now: nobody’s', async () => {
    const { id, token } = await api.accounts.giveToken('ann', {});
    const poll = fetch(`${await api.listen()}/v1/events?waitMs=30000`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await waiting();
    await api.accounts.revokeToken(id);
    expect((await poll).status).toBe(401);
  });
});

describe('security 16: event streams', () => {
  it('are refused to a user who has too many, and to no other', async () => {
    const url = `${await api.listen()}/v1/events/stream`;
    const cut = new AbortController();
    const open = (user: string) => fetch(url, { headers: api.as(user), signal: cut.signal });
    for (let count = 0; count < 64; count++) expect((await open('ann')).status).toBe(200);
    const refused = await open('ann');
    expect([
      refused.status,
      ((await refused.json()) as { error: { message: string } }).error.message,
    ]).toEqual([503, '64 event streams are open of ann already, which is the most of one']);
    expect((await open('bob')).status).toBe(200);
    cut.abort();
    await expect.poll(async () => (await open('ann').catch(() => undefined))?.status ?? 200).toBe(200);
  });
});

describe('replay', () => {
  it('has every event that one may see, once, in order, wherever the client was cut off (property)', async () => {
    const step = fc.oneof(
      fc.record({ tell: fc.constantFrom('mine', 'theirs') }),
      fc.record({ read: fc.integer({ min: 1, max: 4 }), forget: fc.nat({ max: 3 }) }),
    );
    const caller: Caller = { user: 'ann', role: 'user', scope: 'full', projects: [], tokenId: null };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const engine = await sceneEngine();
        engine.addWorkspace({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
        engine.addWorkspace({ id: 'ws-bbbbbbbbbb', owner: 'bob' });
        const feed = eventFeed(engine, createVirtualClock(0));
        const page = (after: number, limit: number) =>
          feed.page(
            { caller: () => caller, workspaceId: undefined, after, waitMs: 0, limit },
            new AbortController().signal,
          );
        const had: number[] = [];
        const told: number[] = [];
        let number = 0;
        for (const one of steps) {
          if ('tell' in one) {
            number += 1;
            engine.tell(one.tell === 'mine' ? mine : theirs);
            await engine.told();
            if (one.tell === 'mine') told.push(number);
            continue;
          }
          const { events } = await page(had.at(-1) ?? 0, one.read);
          // The client is cut off before it has taken the last ones.
          had.push(...events.slice(0, Math.max(0, events.length - one.forget)).map(({ seq }) => seq));
        }
        had.push(...(await page(had.at(-1) ?? 0, 1_000)).events.map(({ seq }) => seq));
        expect(had).toEqual(told);
        feed.close();
      }),
      { numRuns: 1_500, seed: 3 },
    );
  });
});
