import { afterEach, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { Buckets } from './rate-limit.ts';

describe('a bucket', () => {
  it('holds the burst, fills at the rate, and says how long to wait', async () => {
    const clock = createVirtualClock(0);
    const buckets = new Buckets(clock, { perSecond: 2, burst: 3 });
    expect([1, 2, 3].map(() => buckets.take('ann'))).toEqual([0, 0, 0]);
    expect([buckets.take('ann'), buckets.take('bob')]).toEqual([500, 0]);
    await clock.advanceBy(500);
    expect([buckets.take('ann'), buckets.take('ann')]).toEqual([0, 500]);
    await clock.advanceBy(60_000);
    expect([1, 2, 3, 4].map(() => buckets.take('ann'))).toEqual([0, 0, 0, 500]);
  });

  it('is not kept for everybody for ever', () => {
    const buckets = new Buckets(createVirtualClock(0), { perSecond: 1, burst: 1 });
    expect([buckets.take('first'), buckets.take('first')]).toEqual([0, 1_000]);
    for (let count = 0; count < 10_000; count++) buckets.take(`user${count}`);
    expect(buckets.take('first')).toBe(0);
  });
});

describe('the API', () => {
  let api: TestApi;
  afterEach(() => api.app.close());
  const get = async (headers: Record<string, string>) => {
    const answer = await api.app.inject({ url: '/v1/whoami', headers });
    return {
      status: answer.statusCode,
      retry: answer.headers['retry-after'],
      code: answer.json<{ error?: { code: string } }>().error?.code,
    };
  };

  it('tells a user who asks too often when to come again; the others go on', async () => {
    const clock = createVirtualClock(0);
    api = await testApi(clock, { perSecond: 1, burst: 5 });
    for (let count = 0; count < 5; count++) expect((await get(api.as('ann'))).status).toBe(200);
    expect(await get(api.as('ann'))).toEqual({ status: 429, retry: '1', code: 'rate_limited' });
    expect((await get(api.as('bob'))).status).toBe(200);
    await clock.advanceBy(1_000);
    expect((await get(api.as('ann'))).status).toBe(200);
  });

  it('lets nobody try tokens', async () => {
    const clock = createVirtualClock(0);
    api = await testApi(clock);
    const wrong = { authorization: 'Bearer wsp_guess' };
    for (let count = 0; count < 20; count++) expect((await get(wrong)).status).toBe(401);
    expect((await get(wrong)).status).toBe(429);
    await clock.advanceBy(1_000);
    expect((await get(wrong)).status).toBe(401);
  });

  it('security 16: who guesses from an address shuts out no good token from there', async () => {
    api = await testApi(createVirtualClock(0));
    const wrong = { authorization: 'Bearer wsp_guess' };
    for (let count = 0; count < 30; count++) await get(wrong);
    expect((await get(wrong)).status).toBe(429);
    for (let count = 0; count < 30; count++) expect((await get(api.as('admin'))).status).toBe(200);
  });

  it('security 16: who sends no token, or guesses, does not fill the audit log', async () => {
    api = await testApi(createVirtualClock(0));
    const statuses: number[] = [];
    for (let count = 0; count < 300; count++) statuses.push((await get({})).status);
    for (let count = 0; count < 100; count++)
      statuses.push((await get({ authorization: 'Bearer x' })).status);
    const post = { method: 'POST', url: '/v1/tokens', payload: {} } as const;
    for (let count = 0; count < 100; count++) statuses.push((await api.app.inject(post)).statusCode);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    const { entries } = (
      await api.app.inject({ url: '/v1/audit?limit=1000', headers: api.as('admin') })
    ).json<{
      entries: { status: number }[];
    }>();
    expect(entries.map(({ status }) => status)).toEqual(Array.from({ length: 220 }, () => 401));
  });

  it('lets nobody fill the audit log with logins', async () => {
    const clock = createVirtualClock(0);
    api = await testApi(clock);
    const statusOf = async (url: string, payload?: object): Promise<number> =>
      (await api.app.inject({ method: 'POST', url, ...(payload && { payload }) })).statusCode;
    const claim = (): Promise<number> => statusOf('/v1/login/file/claim', { claim: 'x'.repeat(32) });
    // To begin one is a question.
    for (let count = 0; count < 300; count++) expect(await statusOf('/v1/login/file')).toBe(404);
    for (let count = 0; count < 200; count++) expect(await claim()).toBe(404);
    expect(await claim()).toBe(429);
    expect((await get(api.as('ann'))).status).toBe(200);
    await clock.advanceBy(1_000);
    expect(await claim()).toBe(404);
    const { entries } = (
      await api.app.inject({ url: '/v1/audit?limit=1000', headers: api.as('admin') })
    ).json<{ entries: { path: string }[] }>();
    expect(entries.map(({ path }) => path)).toEqual(
      Array.from({ length: 201 }, () => '/v1/login/file/claim'),
    );
  });
});
