import { once } from 'node:events';
import { PassThrough, type Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { slotSecret } from '../../../../test/support/fake-hub.ts';
import { must } from '../../../../test/support/engine.ts';
import { type TestApi, testApi } from '../../../../test/support/api.ts';
import { createClient } from '../../../client/client.ts';
import { createVirtualClock, type VirtualClock } from '../../../platform/virtual-clock.ts';
import { webSocketStream } from '../../../platform/websocket-stream.ts';
import { WspError } from '../../../protocol/errors.ts';

const ws = 'ws-bbbbbbbbbb';
const slot = 'slot-bbbbbbbbbb';

let clock: VirtualClock;
let api: TestApi;
let url: string;
const sockets: WebSocket[] = [];
beforeEach(async () => {
  clock = createVirtualClock(0);
  api = await testApi(clock);
  api.engine.addWorkspace({ id: ws });
  url = await api.listen();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await api.app.close();
});

function dial(path: string, secret = slotSecret, autoPong = true): WebSocket {
  const headers = { authorization: `Bearer ${secret}` };
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, { headers, autoPong });
  sockets.push(socket);
  return socket;
}
async function connected(path: string, autoPong = true): Promise<WebSocket> {
  const socket = dial(path, slotSecret, autoPong);
  await once(socket, 'open');
  return socket;
}
const nodePath = `/pilot/v1/slots/${slot}/nodes/n01`;
const hello = { type: 'hello', slotId: slot, node: 'n01', pilotVersion: '1', address: '10.0.0.1', vms: [] };

async function closing(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return [code, reason.toString()];
}
async function statusOf(socket: WebSocket): Promise<number | undefined> {
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode?: number }];
  return response.statusCode;
}

describe('a pilot', () => {
  it('speaks with the hub, both ways', async () => {
    const socket = await connected(nodePath);
    socket.send(JSON.stringify(hello));
    await vi.waitUntil(() => api.engine.pilots.attached[0]?.received.length === 1);
    const [session] = api.engine.pilots.attached;
    expect(session).toMatchObject({ slotId: slot, node: 'n01', received: [hello] });
    const heard = once(socket, 'message');
    session?.connection.send({ type: 'welcome', ackedSeq: 7, now: 1 });
    expect(JSON.parse(String((await heard)[0]))).toEqual({ type: 'welcome', ackedSeq: 7, now: 1 });
    session?.connection.close('replaced');
    expect(await closing(socket)).toEqual([1001, 'replaced']);
    await vi.waitUntil(() => session?.closed === true);
  });

  it.each([
    ['without the secret', nodePath, 'other', 401],
    ['with a malformed slot', '/pilot/v1/slots/x/nodes/n01', slotSecret, 400],
    ['with a malformed node', `/pilot/v1/slots/${slot}/nodes/a%20b`, slotSecret, 400],
    ['elsewhere', '/pilot/v1/nowhere', slotSecret, 401],
  ])('is refused %s', async (_what, path, secret, status) => {
    expect(await statusOf(dial(path, secret))).toBe(status);
    expect(api.engine.pilots.attached).toEqual([]);
  });

  it.each([
    ['not JSON', '{', 'a message is not JSON'],
    ['of nothing but brackets (security 25)', '['.repeat(900_000), 'nested more than 32 levels'],
    ['of no known type', '{"type":"other"}', 'a message is not one of the protocol'],
    [
      'with a bad field',
      JSON.stringify({ type: 'notification', seq: 0, at: 1, body: {} }),
      'a message is not one of the protocol',
    ],
    [
      'for another node',
      JSON.stringify({ ...hello, node: 'n02' }),
      'hello names another slot or node than the URL',
    ],
    ['binary', Buffer.from([1, 2]), 'a message is not text'],
  ])('is cut off for a message %s', async (_what, message, why) => {
    const socket = await connected(nodePath);
    socket.send(message);
    const [code, reason] = await closing(socket);
    expect(code).toBe(1008);
    expect(reason).toContain(why);
    expect(api.engine.pilots.attached[0]?.received).toEqual([]);
    expect(api.logged.map(line => line.message)).toContain('a node sent a malformed message');
    await vi.waitUntil(() => api.engine.pilots.attached[0]?.closed === true);
  });

  it('security 9: is not read while its session has enough to do, and not cut off for that', async () => {
    const socket = await connected(nodePath);
    socket.send(JSON.stringify(hello));
    await vi.waitUntil(() => api.engine.pilots.attached[0]?.received.length === 1);
    const session = must(api.engine.pilots.attached[0]);
    session.connection.pause?.();
    for (let round = 0; round < 3; round++) {
      const pinged = once(socket, 'ping');
      await clock.advanceBy(15_000);
      await pinged;
    }
    socket.send(JSON.stringify({ type: 'command-ack', key: 'k' }));
    const other = await connected(nodePath.replace('n01', 'n02'));
    other.send(JSON.stringify({ ...hello, node: 'n02' }));
    await vi.waitUntil(() => api.engine.pilots.attached[1]?.received.length === 1);
    expect(session.received).toHaveLength(1);
    session.connection.resume?.();
    await vi.waitUntil(() => session.received.length === 2);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('stays while it answers pings, and is cut off when it does not', async () => {
    const lively = await connected(nodePath);
    const silent = await connected(nodePath.replace('n01', 'n02'), false);
    const pinged = Promise.all([once(lively, 'ping'), once(silent, 'ping')]);
    await clock.advanceBy(15_000);
    await pinged;
    // The answer needs a way back through the kernel before the next round.
    const echoed = once(lively, 'pong');
    lively.ping();
    await echoed;
    const cut = once(silent, 'close');
    await clock.advanceBy(15_000);
    await cut;
    expect(lively.readyState).toBe(WebSocket.OPEN);
  });

  it('brings its side of a stream that somebody waits for', async () => {
    const socket = await connected(`/pilot/v1/slots/${slot}/streams/s1`);
    await vi.waitUntil(() => api.engine.pilots.accepted.length === 1);
    const accepted = api.engine.pilots.accepted[0];
    expect(accepted).toMatchObject({ slotId: slot, streamId: 's1' });
    accepted?.stream.end('from the service');
    expect(await text(webSocketStream(socket))).toBe('from the service');
    expect(await closing(await connected(`/pilot/v1/slots/${slot}/streams/unwanted`))).toEqual([
      1008,
      'nobody waits for this stream',
    ]);
  });
});

describe('security 15: a client’s stream', () => {
  it.each([
    ['its token is revoked', (id: string) => api.accounts.revokeToken(id)],
    ['its user is disabled', () => api.accounts.changeUser('ann', { disabled: true })],
    ['its token has expired', () => clock.advanceBy(75_000)],
  ])('ends when %s, on both sides', async (_what, end) => {
    const { id, token } = await api.accounts.giveToken('ann', { lifetimeMs: 60_000 });
    const pilot = new PassThrough();
    api.engine.pilots.openStream = () => Promise.resolve(pilot);
    const stream = await createClient({ url, token }).openStream('osg', 'a-0', { kind: 'console' });
    stream.on('error', () => undefined);
    const ends = [once(pilot, 'close'), new Promise(resolve => stream.once('end', resolve))];
    await clock.advanceBy(30_000);
    stream.write('still there');
    expect(String((await once(stream, 'data'))[0])).toBe('still there');
    stream.resume();
    await end(id);
    await Promise.all(ends);
  });

  it('of an administrator ends when they are none any more; their own goes on', async () => {
    await api.accounts.changeUser('eve', { role: 'admin' });
    const { token } = await api.accounts.giveToken('eve', {});
    api.engine.addWorkspace({ id: 'ws-cccccccccc', name: 'own', owner: 'eve' });
    const open = (workspace: string) =>
      createClient({ url, token }).openStream(workspace, 'a-0', { kind: 'console' });
    const [others, own] = [await open(ws), await open('own')];
    others.on('error', () => undefined).resume();
    const ended = new Promise(resolve => others.once('end', resolve));
    await api.accounts.changeUser('eve', { role: 'user' });
    await ended;
    own.write('still there');
    expect(String((await once(own, 'data'))[0])).toBe('still there');
    own.destroy();
  });

  it('whose token is revoked while the pilot is asked never begins', async () => {
    const { id, token } = await api.accounts.giveToken('ann', {});
    const pilot = new PassThrough();
    api.engine.pilots.openStream = async () => {
      await api.accounts.revokeToken(id);
      return pilot;
    };
    const closed = once(pilot, 'close');
    const stream = await createClient({ url, token })
      .openStream('osg', 'a-0', { kind: 'console' })
      .catch(() => undefined);
    stream?.on('error', () => undefined);
    await closed;
  });
});

describe('security 16: clients’ streams', () => {
  const open = (user: string) =>
    createClient({ url, token: `token-of-${user}` }).openStream(ws, 'a-0', { kind: 'console' });

  it('are refused to a user who has too many, and to no other', async () => {
    const streams: Duplex[] = [];
    for (let count = 0; count < 128; count++) streams.push(await open('ann'));
    await expect(open('ann')).rejects.toMatchObject({
      code: 'busy',
      message: '128 streams to VMs are open of ann already, which is the most of one',
    });
    streams.push(await open('admin'));
    streams.pop()?.destroy();
    const first = streams.pop();
    first?.destroy();
    await vi.waitUntil(async () => {
      const again = await open('ann').catch(() => undefined);
      if (again) streams.push(again);
      return again !== undefined;
    });
    for (const stream of streams) stream.destroy();
  });

  it('that were refused hold no place', async () => {
    for (let count = 0; count < 200; count++)
      expect(
        await statusOf(dial(`/v1/workspaces/${ws}/vms/none/stream?target=console`, 'token-of-ann')),
      ).toBe(404);
    (await open('ann')).destroy();
  });
});

describe('a client’s stream', () => {
  const client = (user = 'ann') => createClient({ url, token: `token-of-${user}` });

  it('carries bytes to the VM’s pilot and back, more than any buffer holds', async () => {
    const stream = await client().openStream('osg', 'a-0', { kind: 'tcp', port: 22 });
    expect(api.engine.pilots.opened).toEqual([
      { slotId: slot, node: 'n01', target: { kind: 'tcp', vmId: `${ws}.a-0`, port: 22 } },
    ]);
    const chunk = Buffer.alloc(64 * 1_024, 'x');
    let received = 0;
    stream.on('data', (data: Buffer) => (received += data.length));
    for (let count = 0; count < 256; count++) if (!stream.write(chunk)) await once(stream, 'drain');
    await vi.waitUntil(() => received === 256 * chunk.length, { timeout: 10_000 });
    stream.destroy();
  });

  it('holds back a client whose VM does not read', async () => {
    const stuck = new PassThrough({ highWaterMark: 1 });
    const silent: Duplex = Object.assign(stuck, { _transform: () => undefined });
    api.engine.pilots.openStream = () => Promise.resolve(silent);
    const stream = await client().openStream(ws, `${ws}.a-0`, { kind: 'console' });
    const chunk = Buffer.alloc(1_024 * 1_024);
    for (let count = 0; count < 64; count++) stream.write(chunk);
    await vi.waitUntil(() => silent.writableLength > 0);
    // Far less than the 64 MiB that were written has arrived on this side.
    expect(silent.writableLength).toBeLessThan(8 * 1_024 * 1_024);
    expect(stream.writableNeedDrain).toBe(true);
    // Its end is the client's end, whatever is still on the way.
    stream.on('error', () => undefined);
    const closed = new Promise(resolve => stream.once('close', resolve));
    silent.destroy();
    await closed;
  });

  it('ends when the VM’s side ends', async () => {
    const pilot = new PassThrough();
    api.engine.pilots.openStream = () => Promise.resolve(pilot);
    const stream = await client().openStream('osg', 'a-0', { kind: 'console' });
    pilot.end('goodbye');
    expect(await text(stream)).toBe('goodbye');
  });

  it('of statistics is of a VM that is paused, too, and is no entry into it', async () => {
    api.engine.changeVm(`${ws}.a-0`, { state: 'paused' });
    const entries = async (): Promise<number> => {
      const answer = await api.app.inject({ url: '/v1/audit?user=ann', headers: api.as('admin') });
      return answer.json<{ entries: unknown[] }>().entries.length;
    };
    const before = await entries();
    (await client().openStream('osg', 'a-0', { kind: 'statistics' })).destroy();
    expect(await entries()).toBe(before);
    (await client().openStream('osg', 'a-0', { kind: 'console' })).destroy();
    expect(await entries()).toBe(before + 1);
    expect(api.engine.pilots.opened.map(({ target }) => target)).toEqual([
      { kind: 'statistics', vmId: `${ws}.a-0` },
      { kind: 'console', vmId: `${ws}.a-0` },
    ]);
    await expect(client().openStream('osg', 'a-0', { kind: 'tcp', port: 22 })).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  const error = async (attempt: Promise<Duplex>): Promise<string> => {
    const cause = await attempt.then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(cause).toBeInstanceOf(WspError);
    return `${(cause as WspError).code}: ${(cause as WspError).message}`;
  };

  it('is refused with an error before it begins', async () => {
    const end = { kind: 'tcp', port: 22 } as const;
    expect(await error(client('bob').openStream('osg', 'a-0', end))).toBe(
      'not_found: there is no workspace osg',
    );
    expect(await error(client().openStream('osg', 'b-0', end))).toBe(
      'not_found: workspace osg has no VM b-0',
    );
    expect(await error(client('eve').openStream('osg', 'a-0', end))).toMatch(/^unauthorized: /);
    expect(await error(client().openStream('osg', 'a-0', { kind: 'tcp', port: 0 }))).toMatch(
      /^invalid_request: port: /,
    );
    api.engine.pilots.openStream = () =>
      Promise.reject(new WspError('unreachable', 'nothing listens on port 22'));
    expect(await error(client().openStream('osg', 'a-0', end))).toBe(
      'unreachable: nothing listens on port 22',
    );
    api.engine.changeVm(`${ws}.a-0`, { state: 'stopping' });
    expect(await error(client().openStream('osg', 'a-0', end))).toBe(
      `conflict: VM ${ws}.a-0 is stopping, not running`,
    );
  });

  it('must be a WebSocket', async () => {
    const answer = await api.app.inject({
      url: `/v1/workspaces/${ws}/vms/a-0/stream?target=console`,
      headers: api.as('ann'),
    });
    expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([
      400,
      'invalid_request',
    ]);
  });
});

it('an orderly stop ends long polls and pilots', async () => {
  const socket = await connected(nodePath);
  const poll = fetch(`${url}/v1/events?waitMs=30000`, { headers: api.as('ann') });
  await vi.waitUntil(() => api.engine.waiting === 2);
  const gone = once(socket, 'close');
  await Promise.all([api.app.close(), gone]);
  expect((await poll).status).toBe(200);
});
