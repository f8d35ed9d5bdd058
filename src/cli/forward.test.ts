import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
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
  function forwarded(port: number | Duplex) {
    const client = {
      getWorkspace: () => Promise.resolve({ id: 'ws-aaaaaaaaaa', name: 'w', vms: [{ name: 'vm-0' }] }),
      openStream: async () => (port instanceof Duplex ? port : connect({ port, host: '127.0.0.1' })),
    } as unknown as Client;
    return listening(client);
  }

  function listening(client: Client): Promise<{ readonly local: number; readonly ended: Promise<void> }> {
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

  /** Lets the time pass in which nothing comes, until what is looked for is there. */
  const untilQuiet = (what: () => unknown) =>
    expect.poll(async () => {
      await vi.advanceTimersByTimeAsync(10_000);
      return what();
    });

  it('has all that was said on it handed on, also when nothing is answered', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closes.push(() => vi.useRealTimers());
    const said: string[] = [];
    const quiet = new Duplex({
      read: () => undefined,
      write(chunk, _encoding, done) {
        said.push(String(chunk));
        done();
      },
      final(done) {
        said.push('the end');
        this.push(null);
        done();
      },
    });
    const { local, ended } = await forwarded(quiet);
    const socket = connect({ port: local, host: '127.0.0.1' }).resume();
    const closed = once(socket, 'close');
    socket.end('hello');
    await untilQuiet(() => said).toEqual(['hello', 'the end']);
    await closed;
    process.emit('SIGTERM');
    await ended;
  });

  it('is answered at its own pace', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closes.push(() => vi.useRealTimers());
    const answer = 64 << 20;
    const generous = new Duplex({
      read: () => undefined,
      write(_chunk, _encoding, done) {
        for (let left = answer; left > 0; left -= 1 << 20) this.push(Buffer.alloc(1 << 20));
        this.push(null);
        done();
      },
    });
    const { local, ended } = await forwarded(generous);
    const socket = connect({ port: local, host: '127.0.0.1' });
    socket.end('all of it');
    let turns = 0;
    await untilQuiet(() => (turns += 1)).toBeGreaterThan(5);
    let heard = 0;
    for await (const chunk of socket) heard += (chunk as Buffer).length;
    expect(heard).toBe(answer);
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

  it('is closed when the VM gives it none, or the one who connected does not wait for it', async () => {
    let open: (stream: Duplex) => void = () => undefined;
    let refuse: (cause: Error) => void = () => undefined;
    const client = {
      getWorkspace: async () => ({ id: 'ws-aaaaaaaaaa', name: 'w', vms: [{ name: 'vm-0' }] }),
      openStream: () =>
        new Promise<Duplex>((resolve, reject) => {
          [open, refuse] = [resolve, reject];
        }),
    } as unknown as Client;
    const errors = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    closes.push(() => errors.mockRestore());
    const { local, ended } = await listening(client);
    const refused = connect({ port: local, host: '127.0.0.1' }).resume();
    await once(refused, 'connect');
    await nextTurn();
    const closed = once(refused, 'close');
    refuse(new Error('not now'));
    await closed;
    expect(errors).toHaveBeenCalledWith('wsp: port 80 of w/vm-0: not now\n');
    const impatient = connect({ port: local, host: '127.0.0.1' });
    await once(impatient, 'connect');
    impatient.resetAndDestroy();
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    await nextTurn();
    await nextTurn();
    open(stream);
    await expect.poll(() => stream.destroyed).toBe(true);
    process.emit('SIGTERM');
    await ended;
  });

  it.each(['', 'localhost', '127.0.0.1:80'])('is not taken at the address %j', async address => {
    await expect(
      forward({} as CommandContext, 'w', [{ local: 0, remote: 80 }], address),
    ).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/^--address .*is not an IP address/),
    });
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
