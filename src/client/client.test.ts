import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type TestApi, testApi } from '../../test/support/api.ts';
import type { WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { createClient } from './client.ts';
import type { Client } from './client.ts';

const ws = 'ws-bbbbbbbbbb';
let api: TestApi;
let client: Client;
beforeEach(async () => {
  api = await testApi();
  client = createClient({ url: `${await api.listen()}/`, token: 'token-of-ann' });
});
afterEach(() => api.app.close());

const failure = (promise: Promise<unknown>): Promise<WspError> =>
  promise.then(
    () => expect.fail('it should have failed'),
    (cause: unknown) => cause as WspError,
  );

const isRunning = ({ state }: WorkspaceView): boolean => state === 'running';

describe('requests', () => {
  it('go to the service and come back typed', async () => {
    const groups = [{ name: 'a', image: 'mini', count: 1, memoryMiB: 128, cpus: 1 }];
    const created = await client.createWorkspace({ name: 'osg', groups });
    expect(created).toMatchObject({ id: 'ws-aaaaaaaaaa', owner: 'ann' });
    expect((await client.listWorkspaces()).map(each => each.id)).toEqual([created.id]);
    expect((await client.getWorkspace('osg')).id).toBe(created.id);
    expect(await client.knownHosts('osg')).toEqual([`${created.id}.a-0 ssh-ed25519 AAAA`]);
    expect((await client.timeline('osg')).workspace).toBe(created.id);
    expect((await client.listSlots()).map(slot => slot.lrm)).toEqual(['fake']);
    expect(await client.listNodes()).toEqual([]);
    expect(await client.listImages()).toEqual([]);
    expect((await client.events()).events.map(({ type }) => type)).toContain('workspace.requested');
    expect((await client.destroyWorkspace('osg')).id).toBe(created.id);
    api.engine.addWorkspace({ id: 'ws-bbbbbbbbbb', name: 'other' });
    expect((await client.listNodes()).map(node => node.name)).toEqual(['n01']);
    expect(await client.health()).toEqual({ status: 'ok', version: '1.2.3' });
  });

  it('fail with the service’s own error', async () => {
    const groups = [{ name: 'A', image: 'mini', count: 1, memoryMiB: 128, cpus: 1 }];
    const error = await failure(client.createWorkspace({ groups }));
    expect(error).toBeInstanceOf(WspError);
    expect(error.toBody().error).toMatchObject({
      code: 'invalid_request',
      details: [{ path: 'groups[0].name' }],
    });
    expect(await failure(client.getWorkspace('none'))).toMatchObject({
      code: 'not_found',
      hint: expect.stringContaining('wsp ls') as string,
    });
    expect(await failure(createClient({ url: client.url, token: 'x' }).listSlots())).toMatchObject({
      code: 'unauthorized',
    });
  });
});

describe('a service that is not there', () => {
  let other: Server;
  beforeEach(async () => {
    other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
  });
  afterEach(() => {
    other.closeAllConnections();
    other.close();
  });
  const at = (): Client =>
    createClient({
      url: `http://127.0.0.1:${(other.address() as AddressInfo).port}`,
      token: 't',
      requestTimeoutMs: 200,
    });

  it('is named with its URL and what to check', async () => {
    const nobody = at();
    other.close();
    await once(other, 'close');
    for (const attempt of [
      () => nobody.listWorkspaces(),
      () => nobody.openStream('a', 'b', { kind: 'console' }),
    ]) {
      const error = await failure(attempt());
      expect(error.code).toBe('service_unreachable');
      expect(error.message).toBe(
        `cannot reach the service at ${nobody.url}: nothing listens there (connection refused)`,
      );
      expect(error.hint).toContain('WSP_URL');
    }
  });

  it('is unreachable when it does not answer in time', async () => {
    const error = await failure(at().health());
    expect(error).toMatchObject({
      code: 'service_unreachable',
      message: expect.stringContaining('no answer within 200ms') as string,
    });
  });

  it('is not mistaken for what else answers there', async () => {
    other.on('request', (_request, response) => response.writeHead(502).end('<html>bad gateway</html>'));
    const error = await failure(at().health());
    expect(error).toMatchObject({
      code: 'service_unreachable',
      message: expect.stringContaining('is not a Workspace Service (HTTP 502)') as string,
    });
  });

  it.each([
    ['a code that is none of ours', { code: 'nonsense', message: 'x' }],
    ['a code that is a list', { code: ['not_found'], message: 'x' }],
    ['a code that is an object', { code: { toString: 1 }, message: 'x' }],
    ['no message', { code: 'not_found' }],
  ])('is not mistaken for what answers with an error that has %s', async (_what, error) => {
    other.on('request', (_request, response) =>
      response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
    );
    expect(await failure(at().health())).toMatchObject({
      code: 'service_unreachable',
      message: expect.stringContaining('is not a Workspace Service (HTTP 404)') as string,
    });
  });

  it('may have a URL that is none', async () => {
    const error = await failure(createClient({ url: 'nonsense', token: 't' }).health());
    expect(error.code).toBe('service_unreachable');
  });
});

describe('waiting for a workspace', () => {
  beforeEach(() => {
    api.engine.addWorkspace({ id: ws, state: 'queued' });
    api.engine.tell({ type: 'workspace.requested', workspaceId: ws });
  });
  const become = (state: 'running' | 'ended', slot: 'ready' | 'released' = 'ready') => {
    const { slotId } = api.engine.addWorkspace({ id: ws, state });
    api.engine.changeSlot(slotId, { state: slot });
    api.engine.tell({ type: `workspace.${state}`, workspaceId: ws });
  };

  it('resolves as soon as it is as wanted, and tells every event once', async () => {
    const types: string[] = [];
    const waiting = client.waitForWorkspace('osg', isRunning, {
      timeoutMs: 10_000,
      onEvent: event => types.push(event.type),
    });
    await vi.waitUntil(() => api.engine.waiting === 2);
    become('running');
    expect((await waiting).state).toBe('running');
    expect(types).toEqual(['workspace.requested', 'workspace.running']);
  });

  it('goes on while the slot of an ended one is still held, and no longer', async () => {
    const waiting = client.waitForWorkspace(ws, () => false, { timeoutMs: 10_000 });
    await vi.waitUntil(() => api.engine.waiting === 2);
    become('ended');
    await vi.waitUntil(() => api.engine.waiting === 2);
    become('ended', 'released');
    expect(await waiting).toMatchObject({ state: 'ended', slot: { state: 'released' } });
  });

  it('outlives a service that is started again, when it may pause', async () => {
    let calls = 0;
    const pauses: number[] = [];
    const flaky = {
      url: client.url,
      token: 'token-of-ann',
      fetch: (request: Request) => {
        calls += 1;
        return calls >= 2 && calls <= 4 ? Promise.reject(new TypeError('fetch failed')) : fetch(request);
      },
    };
    become('running');
    const wait = (of: Client): Promise<unknown> =>
      of.waitForWorkspace('osg', isRunning, { timeoutMs: 10_000 });
    const pausing = createClient({ ...flaky, pause: async delayMs => void pauses.push(delayMs) });
    expect(await wait(pausing)).toMatchObject({ state: 'running' });
    expect(pauses).toEqual([250, 500, 1_000]);
    calls = 0;
    expect(await failure(wait(createClient(flaky)))).toMatchObject({ code: 'service_unreachable' });
  });

  it('report F: says in which state it still is when the time is over, and why', async () => {
    const error = await failure(client.waitForWorkspace('osg', () => false, { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'timeout', message: 'after 300ms workspace osg is still queued' });
    const [slotId = ''] = api.engine.state.slots.keys();
    api.engine.changeSlot(slotId, { lrmReason: 'all nodes are busy' });
    const why = await failure(client.waitForWorkspace('osg', () => false, { timeoutMs: 300 }));
    expect(why.message).toBe('after 300ms workspace osg is still queued. all nodes are busy');
    await vi.waitUntil(() => api.engine.waiting === 1);
  });
});
