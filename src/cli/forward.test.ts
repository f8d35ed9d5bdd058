import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import type { Client } from '../client/client.ts';
import { forward, portPair } from './forward.ts';
import { nextTurn } from '../platform/clock.ts';
import type { CommandContext } from './program.ts';

describe('ports', () => {
  it.each([
    ['80', { local: 80, remote: 80 }],
    ['8080:80', { local: 8_080, remote: 80 }],
    ['0:65535', { local: 0, remote: 65_535 }],
  ])('%s', (text, pair) => {
    expect(portPair(text)).toEqual(pair);
  });

  it.each(['', '0', 'http', '80:', ':80', '65536', '65536:80', '8080:0', '8080:65536', '1:2:3', '-80'])(
    '%j is refused',
    text => {
      expect(() => portPair(text)).toThrow(`${text} is not a port: say one from 1 to 65535`);
    },
  );
});

describe('a connection', () => {
  const closes: (() => void)[] = [];
  afterEach(() => {
    for (const close of closes.splice(0)) close();
  });

  /** What a program in a guest does with its connections; where it listens. */
  async function guest(serve: (socket: Duplex) => void): Promise<number> {
    const server: Server = createServer({ allowHalfOpen: true }, serve).listen(0, '127.0.0.1');
    closes.push(() => server.close());
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  }

  /** Forwards a free port to the program; the port, and the end of it all. */
  async function forwarded(port: number): Promise<{ readonly local: number; readonly ended: Promise<void> }> {
    const client = {
      getWorkspace: () => Promise.resolve({ id: 'ws-aaaaaaaaaa', name: 'w', vms: [{ name: 'vm-0' }] }),
      openStream: () => Promise.resolve(connect({ port, host: '127.0.0.1' })),
    } as unknown as Client;
    return new Promise((resolve, reject) => {
      const context: CommandContext = {
        env: {},
        json: true,
        client: () => client,
        list: () => undefined,
        answer: value => {
          const { forwards } = value as { forwards: readonly { port: number }[] };
          resolve({ local: forwards[0]?.port ?? 0, ended });
        },
      };
      const ended = forward(context, 'w', [{ local: 0, remote: 80 }], '127.0.0.1');
      ended.catch(reject);
    });
  }

  it('is answered although it has said that it says no more, and ends with the guest’s end', async () => {
    const port = await guest(socket =>
      socket.once('data', chunk => void nextTurn().then(() => socket.end(`heard ${String(chunk)}`))),
    );
    const { local, ended } = await forwarded(port);
    const socket = connect({ port: local, host: '127.0.0.1' });
    socket.end('hello');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toBe('heard hello');
    process.emit('SIGTERM');
    await ended;
  });

  it('ends with the command', async () => {
    const port = await guest(socket => socket.on('error', () => undefined).resume());
    const { local, ended } = await forwarded(port);
    const socket = connect({ port: local, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    process.emit('SIGINT');
    await ended;
    await once(socket, 'close');
    const late = connect({ port: local, host: '127.0.0.1' });
    expect(await once(late, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
  });

  it('is not taken on a port that somebody else has, which is said', async () => {
    const port = await guest(socket => socket.destroy());
    const context = {
      client: () => ({ getWorkspace: () => Promise.resolve({ name: 'w', vms: [{ name: 'vm-0' }] }) }),
    } as unknown as CommandContext;
    await expect(forward(context, 'w', [{ local: port, remote: 80 }], '127.0.0.1')).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(
        new RegExp(`^port ${port} of 127\\.0\\.0\\.1 cannot be listened on: .*EADDRINUSE`),
      ),
    });
  });
});
