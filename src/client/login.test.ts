import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { type TestApi, testApi } from '../../test/support/api.ts';
import { systemClock } from '../platform/clock.ts';
import { systemRandom } from '../platform/random.ts';
import { mungeForm } from '../protocol/login.ts';
import { Logins } from '../service/access/logins.ts';
import { createClient } from './client.ts';

/**
 * Logins before a rogue service, which hands on to the real one what it is told, and tells the
 * client what it likes. Needs root for sockets of others.
 */

let directory: string;
let api: TestApi;
let realUrl: string;
/** What the real service takes an unmunged credential for. */
let signed: { text: string; reader: number }[];
const servers: Server[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-rogue-'));
  mkdirSync(join(directory, 'real'));
  signed = [];
  const logins = new Logins({
    clock: systemClock,
    random: systemRandom,
    directory: join(directory, 'real/login'),
    mungeSocket: '/run/munge',
    ownUid: 1_000,
    names: () => new Set(['https://head.cluster']),
    processes: {
      run: async () => {
        const { text = '', reader } = signed.at(-1) ?? {};
        const stdout = `STATUS: Success (0)\nUID: ann (0)\nUID_RESTRICTION: x (${reader})\n\n${text}`;
        return { code: 0, signal: null, stdout, stderr: '' };
      },
    },
  });
  await logins.open();
  api = await testApi(systemClock, undefined, logins);
  realUrl = await api.listen();
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }
  await api.app.close();
  rmSync(directory, { recursive: true });
});

/**
 * The real service, at a socket in this directory; or one that stands before it: what the real one
 * answers is changed by `lie`.
 */
async function serveAt(
  where: string | number,
  lie: (path: string, answer: Record<string, unknown>) => Record<string, unknown> = (_path, answer) => answer,
  tokens: string[] = [],
): Promise<number> {
  const relay: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { 'content-type': type, authorization } = request.headers;
      void fetch(`${realUrl}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { ...(type && { 'content-type': type }), ...(authorization && { authorization }) },
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
      }).then(async answer => {
        const body = lie(request.url ?? '', (await answer.json()) as Record<string, unknown>);
        if (typeof body['token'] === 'string') tokens.push(body['token']);
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  };
  const server = createServer(relay);
  servers.push(server);
  await new Promise<void>(resolve =>
    typeof where === 'string' ? server.listen(where, resolve) : server.listen(where, '127.0.0.1', resolve),
  );
  return typeof where === 'string' ? 0 : (server.address() as AddressInfo).port;
}

const munge = async (text: string, reader: number): Promise<string> => {
  signed.push({ text, reader });
  return 'MUNGE:AwQD:';
};
const whoami = (url: string, serviceUids: readonly number[] = []) =>
  createClient({ url, login: { munge, serviceUids: async () => serviceUids } })
    .whoami()
    .then(
      ({ user }) => user,
      (cause: Error) => cause.message,
    );

describe('a login by a file', () => {
  it('is made beside the socket, and leaves nothing', async () => {
    const socket = join(directory, 'real/socket');
    await serveAt(socket);
    expect(await whoami(`unix:${socket}`)).toBe('admin');
    symlinkSync(join(directory, 'real'), join(directory, 'another-way'));
    expect(await whoami(`unix:${directory}/another-way/socket`)).toBe('admin');
    expect(readdirSync(join(directory, 'real/login'))).toEqual([]);
  });

  it('security 6: is none for a rogue that hands on the challenge of the real service', async () => {
    mkdirSync(join(directory, 'rogue/login'), { recursive: true });
    const tokens: string[] = [];
    const socket = join(directory, 'rogue/socket');
    await serveAt(socket, undefined, tokens);
    expect(await whoami(`unix:${socket}`)).toMatch(/which is not in its login directory/);
    expect(tokens).toEqual([]);
    expect(readdirSync(join(directory, 'real/login'))).toEqual([]);
  });

  it('security 6: is none in a directory of the real service that a rogue has linked to', async () => {
    mkdirSync(join(directory, 'rogue'));
    symlinkSync(join(directory, 'real/login'), join(directory, 'rogue/login'));
    const tokens: string[] = [];
    const socket = join(directory, 'rogue/socket');
    const ownPath = (_path: string, answer: Record<string, unknown>) =>
      typeof answer['path'] === 'string'
        ? { ...answer, path: answer['path'].replace('/real/', '/rogue/') }
        : answer;
    await serveAt(socket, ownPath, tokens);
    expect(await whoami(`unix:${socket}`)).toMatch(/not in its login directory/);
    expect(tokens).toEqual([]);
    expect(readdirSync(join(directory, 'real/login'))).toEqual([]);
  });

  it.each([
    'victim',
    'real/login/victim',
    'real/login/../victim',
    'real/victim',
    `real/login/${'x'.repeat(33)}`,
  ])('security 6: makes no file %s, whoever wants it', async name => {
    const socket = join(directory, 'real/socket');
    await serveAt(socket, (path, answer) =>
      path === '/v1/login/file' ? { ...answer, path: join(directory, name) } : answer,
    );
    expect(await whoami(`unix:${socket}`)).toMatch(/not in its login directory/);
    expect(existsSync(join(directory, name))).toBe(false);
  });

  it('security 6: is none at a socket of somebody who is not known to run the service', async () => {
    const socket = join(directory, 'real/socket');
    await serveAt(socket);
    chownSync(socket, 65_534, 65_534);
    expect(await whoami(`unix:${socket}`)).toMatch(/belongs to uid 65534, who is not known/);
    expect(await whoami(`unix:${socket}`, [65_534])).toBe('admin');
    chownSync(join(directory, 'real'), 65_533, 65_533);
    expect(await whoami(`unix:${socket}`, [65_534])).toMatch(/belongs to uid 65533, who is not known/);
  });

  it('security 6: is none at a socket in a directory where anybody can put one', async () => {
    const socket = join(directory, 'real/socket');
    await serveAt(socket);
    chmodSync(join(directory, 'real'), 0o777);
    expect(await whoami(`unix:${socket}`)).toMatch(/others can write to/);
    chmodSync(join(directory, 'real'), 0o1777);
    expect(await whoami(`unix:${socket}`)).toBe('admin');
  });

  it('security 6: is all that there is at a socket: a rogue there gets no MUNGE credential', async () => {
    mkdirSync(join(directory, 'rogue'));
    const socket = join(directory, 'rogue/socket');
    await serveAt(socket, (path, answer) => (path === '/v1/login' ? { ...answer, file: false } : answer));
    expect(await whoami(`unix:${socket}`)).toMatch(/takes no login without one from here/);
    expect(signed).toEqual([]);
  });
});

describe('a login by MUNGE', () => {
  it('security 6: to a rogue is good for the rogue alone: the real service refuses it', async () => {
    const tokens: string[] = [];
    const port = await serveAt(0, undefined, tokens);
    expect(await whoami(`http://127.0.0.1:${port}`)).toMatch(/which is no name of this service/);
    expect(signed).toHaveLength(1);
    expect(signed[0]?.text).toMatch(new RegExp(`^wsp-login-2 http://127.0.0.1:${port}@[-0-9a-f]{36} `));
    expect(signed[0]?.reader).toBe(1_000);
    expect(tokens).toEqual([]);
  });

  it('security 6: signs no text of the service’s choice', async () => {
    const port = await serveAt(0, (path, answer) =>
      path === '/v1/login' ? { ...answer, munge: 'batch job 42' } : answer,
    );
    expect(await whoami(`http://127.0.0.1:${port}`)).toMatch(/different versions/);
    const evil = await serveAt(0, (path, answer) =>
      path === '/v1/login' ? { ...answer, nonce: 'x https://head.cluster y' } : answer,
    );
    expect(await whoami(`http://127.0.0.1:${evil}`)).not.toBe('admin');
    expect(signed.map(({ text }) => text)).not.toContain('batch job 42');
    for (const { text } of signed) expect(text).toMatch(/^wsp-login-2 http:\/\/127/);
  });

  it.each(['http://localhost', 'http://127.0.0.2'])(
    'security 6: goes over no plain HTTP to %s, where somebody else may answer',
    async host => {
      const port = await serveAt(0);
      const reach = createClient({
        url: `${host}:${port}`,
        login: { munge },
        // Whatever the name means: it is the rogue's.
        fetch: request => fetch(new Request(request.url.replace(host, 'http://127.0.0.1'), request)),
      });
      await expect(reach.whoami()).rejects.toMatchObject({
        code: 'unauthorized',
        message: expect.stringContaining('no MUNGE credential is sent over plain HTTP'),
      });
      expect(signed).toEqual([]);
    },
  );

  it('tells of a service that is older than it', async () => {
    const port = await serveAt(0, (path, answer) =>
      path === '/v1/login' ? { file: false, munge: 'wsp-login' } : answer,
    );
    expect(await whoami(`http://127.0.0.1:${port}`)).toMatch(/are of different versions/);
    expect(signed).toEqual([]);
  });
});

it('a login is made anew for a stream to a VM, when the service has been started again', async () => {
  const tokens: string[] = [];
  let good: string | undefined;
  const ways = { file: false, munge: mungeForm, nonce: 'n', uid: 0 };
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      if (request.method === 'POST') tokens.push((good = `login-${tokens.length}`));
      const body = request.method === 'POST' ? { user: 'ann', token: good, expiresAt: '' } : ways;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  servers.push(server);
  const unknown = JSON.stringify({ error: { code: 'unauthorized', message: 'unknown' } });
  const sockets = new WebSocketServer({
    server,
    verifyClient: ({ req }, done) => done(req.headers.authorization === `Bearer ${good}`, 401, unknown),
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createClient({ url, login: { munge } });
  const open = async (): Promise<void> => {
    (await client.openStream('w', 'vm-0', { kind: 'console' })).on('error', () => undefined).destroy();
  };
  await open();
  await open();
  expect(tokens).toEqual(['login-0']);
  good = undefined;
  await open();
  expect(tokens).toEqual(['login-0', 'login-1']);
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
});
