import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { slotSecret } from '../../../../test/support/fake-hub.ts';
import { type TestApi, testApi } from '../../../../test/support/api.ts';
import { createVirtualClock } from '../../../platform/virtual-clock.ts';
import type { ErrorBody } from '../../../protocol/errors.ts';

const slot = 'slot-bbbbbbbbbb';
const base = `/pilot/v1/slots/${slot}`;
const octets = { 'content-type': 'application/octet-stream' };

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.app.close());

interface Asked {
  readonly body?: string | Buffer;
  readonly secret?: string;
}
async function ask(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  { body, secret = slotSecret }: Asked = {},
) {
  const answer = await api.app.inject({
    method,
    url,
    headers: { authorization: `Bearer ${secret}`, ...(body === undefined ? {} : octets) },
    ...(body === undefined ? {} : { payload: body }),
  });
  const error = answer.statusCode >= 400 ? answer.json<ErrorBody>().error : undefined;
  return { status: answer.statusCode, answer, code: error?.code, message: error?.message };
}
async function open(): Promise<string> {
  const { answer } = await ask('POST', `${base}/nodes/n01/pipes`);
  return `${base}/pipes/${answer.json<{ pipe: string }>().pipe}`;
}
const hello = { type: 'hello', slotId: slot, node: 'n01', pilotVersion: '1', address: '10.0.0.1', vms: [] };

describe('a pilot that can make requests only', () => {
  it('speaks with the hub, both ways', async () => {
    const pipe = await open();
    expect(pipe).toMatch(/\/[\w-]{22}$/);
    const line = `${JSON.stringify(hello)}\n`;
    const sent = await ask('POST', `${pipe}?at=0`, { body: line });
    expect([sent.status, sent.answer.headers['wsp-next']]).toEqual([200, String(line.length)]);
    const [session] = api.engine.pilots.attached;
    await vi.waitUntil(() => session?.received.length === 1);
    expect(session).toMatchObject({ slotId: slot, node: 'n01', received: [hello] });
    session?.connection.send({ type: 'welcome', ackedSeq: 7, now: 0 });
    const { answer } = await ask('GET', `${pipe}?after=0`);
    expect(answer.body).toBe('{"type":"welcome","ackedSeq":7,"now":0}\n');
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    session?.connection.close('replaced');
    expect((await ask('GET', `${pipe}?after=40`)).answer.body).toBe('!replaced\n');
    expect((await ask('GET', `${pipe}?after=50`)).answer.headers['wsp-end']).toBe('1');
    await ask('POST', `${pipe}?at=${line.length}&end=true`, { body: '' });
    await vi.waitUntil(() => session?.closed === true);
  });

  it('is cut off for what is no message, and told so', async () => {
    const pipe = await open();
    await ask('POST', `${pipe}?at=0`, { body: '{"type":"other"}\n' });
    const { answer } = await ask('GET', `${pipe}?after=0`);
    expect(answer.body).toContain('!a message is not one of the protocol');
    expect(api.logged.map(({ message }) => message)).toContain('a node sent a malformed message');
    expect(api.engine.pilots.attached[0]?.received).toEqual([]);
  });

  it.each([
    ['POST', '/nodes/n01/pipes'],
    ['POST', '/streams/s1/pipes'],
    ['GET', '/pipes/AAAAAAAAAAAAAAAAAAAAAA?after=0'],
    ['POST', '/pipes/AAAAAAAAAAAAAAAAAAAAAA?at=0'],
    ['DELETE', '/pipes/AAAAAAAAAAAAAAAAAAAAAA'],
  ] as const)('is refused without the secret: %s %s', async (method, path) => {
    expect(await ask(method, `${base}${path}`, { secret: 'other' })).toMatchObject({
      status: 401,
      code: 'unauthorized',
    });
    expect(api.engine.pilots.attached).toEqual([]);
  });

  it.each([
    ['GET', '/pipes/x?after=0', 400, 'pipe'],
    ['GET', '/pipes/AAAAAAAAAAAAAAAAAAAAAA', 400, 'after'],
    ['GET', '/pipes/AAAAAAAAAAAAAAAAAAAAAA?after=-1', 400, 'after'],
    ['POST', '/pipes/AAAAAAAAAAAAAAAAAAAAAA?at=x', 400, 'at'],
    ['POST', '/nodes/a%20b/pipes', 400, 'node'],
    ['GET', '/pipes/AAAAAAAAAAAAAAAAAAAAAA?after=0', 404, 'there is no such pipe'],
    ['POST', '/streams/unwanted/pipes', 404, 'nobody waits for this stream'],
  ] as const)('gets one clear error: %s %s', async (method, path, status, words) => {
    const refused = await ask(method, `${base}${path}`);
    expect([refused.status, refused.message]).toEqual([status, expect.stringContaining(words)]);
  });

  it('sees no pipe of another slot, though it is told its id', async () => {
    const pipe = await open();
    const other = pipe.replace(slot, 'slot-cccccccccc');
    expect((await ask('GET', `${other}?after=0`)).status).toBe(404);
    expect((await ask('DELETE', other)).status).toBe(404);
    expect(api.engine.pilots.attached[0]?.closed).toBe(false);
  });

  it('may not bring more than a body may have, nor ask without end', async () => {
    await api.app.close();
    // No time passes: how fast this machine is decides nothing.
    api = await testApi(createVirtualClock(0));
    const pipe = await open();
    const large = await ask('POST', `${pipe}?at=0`, { body: Buffer.alloc(1_048_577) });
    expect([large.status, large.code]).toEqual([413, 'invalid_request']);
    let refused: Awaited<ReturnType<typeof ask>> | undefined;
    for (let count = 0; count < 4_000 && refused?.status !== 429; count++)
      refused = await ask('GET', `${pipe}?after=0&max=0`);
    expect(refused).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(Number(refused?.answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('closes its pipe, and is told so afterwards', async () => {
    const pipe = await open();
    expect((await ask('DELETE', pipe)).status).toBe(204);
    await vi.waitUntil(() => api.engine.pilots.attached[0]?.closed === true);
    expect(await ask('GET', `${pipe}?after=0`)).toMatchObject({
      status: 409,
      message: 'the pipe is closed: the pilot has closed it',
    });
  });

  it('is no deed for the audit log, unless it is refused', async () => {
    const pipe = await open();
    await ask('POST', `${pipe}?at=0`, { body: 'x' });
    await ask('DELETE', pipe, { secret: 'other' });
    const answer = await api.app.inject({ url: '/v1/audit', headers: api.as('admin') });
    const { entries } = answer.json<{ entries: { method: string; status: number }[] }>();
    expect(entries.map(({ method, status }) => `${method} ${status}`)).toEqual(['DELETE 401']);
  });

  it('is let go at once when the service stops', async () => {
    const pipe = await open();
    await api.listen();
    const waiting = ask('GET', `${pipe}?after=0`);
    await vi.waitUntil(() => api.engine.pilots.attached.length === 1);
    await api.app.close();
    expect(await waiting).toMatchObject({ status: 409, message: 'the pipe is closed: the service stops' });
  });
});
