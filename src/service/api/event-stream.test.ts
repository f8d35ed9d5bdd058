import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { FakeEngine } from '../../../test/support/fake-engine.ts';
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

describe('replay', () => {
  it('has every event that one may see, once, in order, wherever the client was cut off (property)', async () => {
    const step = fc.oneof(
      fc.record({ tell: fc.constantFrom('mine', 'theirs') }),
      fc.record({ read: fc.integer({ min: 1, max: 4 }), forget: fc.nat({ max: 3 }) }),
    );
    const caller: Caller = { user: 'ann', role: 'user', scope: 'full', projects: [], tokenId: null };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const engine = new FakeEngine();
        engine.addWorkspace({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
        engine.addWorkspace({ id: 'ws-bbbbbbbbbb', owner: 'bob' });
        const feed = eventFeed(engine, createVirtualClock(0));
        const page = (after: number, limit: number) =>
          feed.page(
            { caller, workspaceId: undefined, after, waitMs: 0, limit },
            new AbortController().signal,
          );
        const had: number[] = [];
        const told: number[] = [];
        let number = 0;
        for (const one of steps) {
          if ('tell' in one) {
            number += 1;
            engine.tell(one.tell === 'mine' ? mine : theirs);
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
