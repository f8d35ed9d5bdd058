import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { slotSecret } from '../../test/support/fake-hub.ts';
import { type TestApi, testApi } from '../../test/support/api.ts';
import { createVirtualClock } from '../platform/virtual-clock.ts';
import { systemClock } from '../platform/clock.ts';
import { ingest } from './ingest.ts';

/** `wsp ingest` on its own; what it carries is the contract's business (test/e2e/transports.test.ts). */

let api: TestApi;
let url: string;
beforeEach(async () => {
  api = await testApi();
  url = await api.listen();
});
afterEach(() => api.app.close());

const request = { slotId: 'slot-bbbbbbbbbb', secret: slotSecret, node: 'n01', streamId: null };
const serve = (first: string, target = url): Promise<unknown> => {
  const pilot = new PassThrough();
  pilot.write(first);
  return ingest(pilot, { url: target, ca: null }, '10.0.0.7', systemClock).catch((cause: unknown) => cause);
};

describe('wsp ingest', () => {
  it.each([
    ['not JSON', 'GET / HTTP/1.1'],
    ['no object', 'null'],
    ['without a slot', JSON.stringify({ ...request, slotId: undefined })],
    ['with a slot that is a path', JSON.stringify({ ...request, slotId: '../agent' })],
    ['with a secret that is a header', JSON.stringify({ ...request, secret: 'a\r\nb: c' })],
    ['with a node that is no name', JSON.stringify({ ...request, node: 'a b' })],
    ['with a stream that is a path', JSON.stringify({ ...request, streamId: 'a/b' })],
  ])('refuses what is %s', async (_what, first) => {
    expect(await serve(`${first}\n`)).toMatchObject({
      code: 'invalid_request',
      message: 'the first line on standard input is not a request of a pilot',
    });
    expect(api.engine.pilots.attached).toEqual([]);
  });

  it('does not wait for ever for a pilot that says nothing', async () => {
    const clock = createVirtualClock(0);
    const outcome = ingest(new PassThrough(), { url, ca: null }, '', clock).catch((cause: unknown) => cause);
    await clock.advanceBy(15_000);
    expect(await outcome).toMatchObject({ code: 'timeout' });
  });

  it('says what the service says', async () => {
    const wrong = await serve(`${JSON.stringify({ ...request, secret: 'another' })}\n`);
    expect(wrong).toMatchObject({ code: 'unauthorized' });
    const away = await serve(`${JSON.stringify(request)}\n`, 'unix:/nowhere/socket');
    expect(away).toMatchObject({ code: 'unreachable' });
  });
});
