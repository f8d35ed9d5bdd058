import { once } from 'node:events';
import { expect, it } from 'vitest';
import WebSocket from 'ws';
import { testApi } from '../../test/support/api.ts';
import { slotSecret } from '../../test/support/fake-engine.ts';
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
