import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, hostname, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { buildPrograms, type Programs } from '../../../test/support/cli.ts';
import { type Child, startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { joinedVariable, runAgent } from './main.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-agent-'));
  file = join(directory, 'secret');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

/** What the agent says of this secret, with which it must not begin. */
async function complaint(secret: string, mode: number): Promise<string> {
  writeFileSync(file, secret);
  chmodSync(file, mode);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const args = ['--service', 'http://127.0.0.1:9', '--pool', 'default', '--secret-file', file];
  expect(await runAgent(args)).toBe(2);
  return String(write.mock.calls[0]?.[0]);
}

describe('the join secret of an agent', () => {
  it.each([0o640, 0o604, 0o644, 0o660])('is not taken from a file with mode %o', async mode => {
    expect(await complaint('0123456789abcdef', mode)).toContain('can be read by others: run chmod 600 on it');
  });

  it('is read only once its mode is known to be right', async () => {
    // A read of others' files may have no end: of /dev/zero, say, or a pipe.
    file = join(directory, 'unreadable');
    mkdirSync(file, { mode: 0o755 });
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const args = ['--service', 'http://127.0.0.1:9', '--pool', 'default', '--secret-file', file];
    expect(await runAgent(args)).toBe(2);
    expect(String(write.mock.calls[0]?.[0])).toContain('can be read by others');
  });

  it.each(['', '0123456789abcde', '01234567 89abcdef'])('is not %j', async secret => {
    expect(await complaint(secret, 0o600)).toContain('does not hold a join secret');
  });
});

const secret = '0123456789abcdef';
/** Options of an agent that could begin, without those that are null. */
const options = (change: Record<string, string | null> = {}): readonly string[] => {
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  const all = { service: 'http://127.0.0.1:9', pool: 'default', 'secret-file': file, ...change };
  return Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, value]));
};

describe('the command line of an agent', () => {
  /** The exit code and the first line on standard error. */
  async function outcome(...args: readonly string[]): Promise<readonly unknown[]> {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const code = await runAgent(args);
    const said = write.mock.calls.map(([text]) => String(text)).join('');
    write.mockRestore();
    expect(said).toContain('usage: wsp agent --service URL');
    return [code, said.split('\n')[0]];
  }

  it('is told when it is asked for', async () => {
    expect(await outcome('--help')).toEqual([0, expect.stringMatching(/^usage: wsp agent/)]);
  });

  it.each<[string, Record<string, string | null>]>([
    ['--service must be', { service: null }],
    ['--service must be', { service: 'head.site:8080' }],
    ['--service must be', { service: 'ftp://head.site' }],
    ['--service must be', { service: 'http://head.site/wsp' }],
    ['--service must be', { service: 'http://head.site?x=y' }],
    ['--service must be', { service: 'see http://head.site' }],
    ['--pool must be', { pool: null }],
    ['--pool must be', { pool: '../x' }],
    ['--node a/b ', { node: 'a/b' }],
    ['--memory much ', { memory: 'much' }],
    ['--cpus 0 ', { cpus: '0' }],
    ['--cpus 1.5 ', { cpus: '1.5' }],
    ['--cpus 100000 ', { cpus: '100000' }],
    ['--cpus x1 ', { cpus: 'x1' }],
    ['--secret-file is missing', { 'secret-file': null }],
    ['the secret file cannot be read', { 'secret-file': '/nowhere/secret' }],
    ['the certificate file cannot be read', { 'ca-file': '/nowhere/ca' }],
  ])('is refused for %s: %j', async (words, change) => {
    expect(await outcome(...options(change))).toEqual([2, expect.stringContaining(`wsp: ${words}`)]);
  });

  it('is refused for a certificate that is none, and for what is no option', async () => {
    const ca = join(directory, 'ca.pem');
    writeFileSync(ca, 'not a certificate');
    expect(await outcome(...options({ 'ca-file': ca }))).toEqual([
      2,
      `wsp: ${ca} holds no certificate (PEM)`,
    ]);
    expect(await outcome(...options(), 'more')).toEqual([2, expect.stringContaining('more')]);
    expect(await outcome('--pools', 'x')).toEqual([2, expect.stringContaining('--pools')]);
  });
});

/** Processes of a busy machine. */
const slow = { timeout: 110_000 };

describe('an agent', slow, () => {
  let programs: Programs;
  beforeAll(async () => {
    programs = await buildPrograms();
  }, slow.timeout);
  afterAll(() => programs.remove());
  let server: WebSocketServer;
  let answer: number | undefined;
  let tries: number;
  let child: Child | undefined;
  beforeEach(async () => {
    [answer, tries] = [undefined, 0];
    server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      verifyClient: (_info, done) => {
        tries += 1;
        if (answer === undefined) done(true);
        else done(false, answer);
      },
    });
    await once(server, 'listening');
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await child?.exited;
    for (const client of server.clients) client.terminate();
    server.close();
  });

  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  /** A process of its own, as it goes on connecting for as long as that lives. */
  async function starts(change: Record<string, string | null>): Promise<Child> {
    const argv = [
      process.execPath,
      join(programs.directory, 'dist/node-tools.cjs'),
      'agent',
      ...options(change),
    ] as const;
    const env = { ...process.env, [joinedVariable]: '3' };
    child = await startChild(argv, { env, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    return child;
  }
  const wordsOf = (stream: Readable | null): Promise<string> =>
    stream ? text(stream) : Promise.reject(new Error('there is no pipe'));
  const comes = async () => {
    const [socket, request] = (await once(server, 'connection')) as [WebSocket, IncomingMessage];
    const [hello] = (await once(socket, 'message')) as [Buffer];
    return { socket, request, hello: JSON.parse(hello.toString('utf8')) as unknown };
  };

  it('joins as what it was told to be, says so to who waits for that, and ends at a signal', async () => {
    const first = comes();
    const asked = { node: 'n07', memory: '3G', cpus: '5', pool: 'big' };
    const agent = await starts({ ...asked, service: `${url()}/` });
    const told = wordsOf(agent.extra);
    const { request, hello, socket } = await first;
    expect([request.url, request.headers.authorization]).toEqual([
      '/agent/v1/pools/big/nodes/n07',
      `Bearer ${secret}`,
    ]);
    const has = { node: 'n07', memoryMiB: 3_072, cpus: 5 };
    expect(hello).toEqual({ type: 'hello', protocol: 2, ...has, running: [], ended: [] });
    // Once, and nobody need wait any more.
    expect(await told).toBe('joined');
    // It comes again when it was cut off, and does what it is told then too.
    const second = comes();
    socket.terminate();
    const again = await second;
    expect(again.hello).toEqual(hello);
    const exits = 'process.exit(process.env.WSP_JOINED_FD === undefined ? 7 : 8);';
    const run = {
      type: 'run',
      jobId: '1',
      program: exits,
      endsAt: systemClock.now() + 60_000,
      killDelayMs: 1_000,
    };
    const ended = once(again.socket, 'message') as Promise<[Buffer]>;
    again.socket.send(JSON.stringify(run));
    expect(JSON.parse((await ended)[0].toString('utf8'))).toMatchObject({
      type: 'ended',
      jobId: '1',
      code: 7,
    });
    agent.kill('SIGTERM');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  it('gives three quarters of its memory and all its processors, under its own name, if not told', async () => {
    const first = comes();
    const agent = await starts({ service: url() });
    const { hello, request } = await first;
    const node = hostname().split('.')[0] ?? '';
    const memoryMiB = Math.floor((totalmem() / 2 ** 20) * 0.75);
    expect(hello).toMatchObject({ node, memoryMiB, cpus: availableParallelism() });
    expect(request.url).toBe(`/agent/v1/pools/default/nodes/${encodeURIComponent(node)}`);
    agent.kill('SIGINT');
    expect(await agent.exited).toEqual({ code: 0, signal: null });
  });

  it('tries again when the service is not there, and ends when that does not take it', async () => {
    answer = 503;
    const agent = await starts({ service: url() });
    const said = wordsOf(agent.stderr);
    await expect.poll(() => tries, slow).toBeGreaterThan(2);
    answer = 401;
    expect(await agent.exited).toEqual({ code: 1, signal: null });
    expect(await said).toContain('does not take this agent');
  });
});
