import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { testApi } from '../../../test/support/api.ts';
import { slotSecret } from '../../../test/support/fake-hub.ts';
import { createClient } from '../../client/client.ts';
import { listen } from './listening.ts';

it('answers on the nodes’ address too, WebSockets as well, and closes both', async () => {
  const { app, engine } = await testApi();
  // Two addresses of the loopback stand for the head's own and the one that the nodes see.
  const listening = await listen(app, { host: '127.0.0.1', port: 0, url: null, headAddress: '127.0.0.2' });
  try {
    expect(listening.nodesUrl).toBe(listening.url.replace('127.0.0.1', '127.0.0.2'));
    for (const url of [listening.url, listening.nodesUrl]) {
      expect((await fetch(`${url}/v1/health`)).status).toBe(200);
      const socket = new WebSocket(`${url.replace('http', 'ws')}/pilot/v1/slots/slot-aaaaaaaaaa/nodes/n01`, {
        headers: { authorization: `Bearer ${slotSecret}` },
      });
      await once(socket, 'open');
    }
    expect(engine.pilots.attached).toHaveLength(2);
  } finally {
    await listening.close();
  }
  await expect(fetch(`${listening.nodesUrl}/v1/health`)).rejects.toThrow('fetch failed');
});

it('answers on a socket, takes over one that was left behind, and leaves one alone that somebody answers on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-listening-'));
  const socketPath = join(directory, 'run/socket');
  const options = { host: '127.0.0.1', port: 0, url: null, socketPath };
  const first = await testApi();
  const listening = await listen(first.app, options);
  try {
    expect(statSync(socketPath).mode & 0o777).toBe(0o666);
    expect(await createClient({ url: `unix:${socketPath}`, token: 'none' }).health()).toMatchObject({
      status: 'ok',
    });
    const second = await testApi();
    await expect(listen(second.app, options)).rejects.toThrow('another program listens there already');
    await second.app.close();
  } finally {
    await listening.close();
  }
  const { spawnSync } = await import('node:child_process');
  const leave = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', leave]);
  expect(statSync(socketPath).isSocket()).toBe(true);
  const third = await testApi();
  await (await listen(third.app, options)).close();
  rmSync(directory, { recursive: true });
});

it.each([
  [
    'service.url, when it is set',
    { host: '127.0.0.1', url: 'http://head:1', headAddress: '127.0.0.2' },
    /^http:\/\/head:1$/,
  ],
  ['the address that we listen on', { host: '127.0.0.1', url: null }, /^http:\/\/127\.0\.0\.1:\d+$/],
  [
    'the head’s address, when we listen on all',
    { host: '0.0.0.0', url: null, headAddress: '127.0.0.2' },
    /^http:\/\/127\.0\.0\.2:\d+$/,
  ],
])('tells nodes %s', async (_what, options, expected) => {
  const { app } = await testApi();
  const listening = await listen(app, { port: 0, ...options });
  try {
    expect(listening.nodesUrl).toMatch(expected);
    expect(listening.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  } finally {
    await listening.close();
  }
});
