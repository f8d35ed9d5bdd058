import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { buildPrograms, type Programs } from '../../test/support/cli.ts';
import { type Child, startChild } from '../platform/children.ts';
import { systemClock } from '../platform/clock.ts';
import { type CommandResult, systemProcesses } from '../platform/process.ts';
import type { PilotHello, PilotMessage, ServiceMessage } from '../protocol/pilot.ts';

/** The program that travels with jobs, started as it is there, before a service that says what the test says. */

/** Processes of a busy machine. */
const slow = { timeout: 110_000 };
let programs: Programs;
let program: string;
beforeAll(async () => {
  programs = await buildPrograms();
  program = join(programs.directory, 'dist/pilot.cjs');
}, slow.timeout);
afterAll(() => programs.remove());

const slotId = 'slot-aaaaaaaaaa';
const secret = '0123456789abcdef';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-pilot-main-'));
});
afterEach(() => rmSync(place, { recursive: true }));

const run = (...args: readonly string[]): Promise<CommandResult> =>
  systemProcesses.run([process.execPath, program, ...args], { deadlineMs: 100_000 });

describe('the program of jobs', slow, () => {
  it('says what it is, when it is started as nothing of that or wrongly', async () => {
    const bad = join(place, 'bad.json');
    writeFileSync(bad, JSON.stringify({ slotId: 'x' }));
    const outcomes = await Promise.all([
      run(),
      run('helper'),
      run('pilot'),
      run('pilot', '--assign', bad),
      run('pilot', '--assignment', bad),
      run('pilot', '--assignment', join(place, 'none')),
    ]);
    expect(outcomes.map(({ code, stderr }) => [code, stderr.split('\n')[0]])).toEqual([
      [2, expect.stringContaining('pilot takes --assignment FILE')],
      [2, expect.stringContaining('pilot takes --assignment FILE')],
      [2, expect.stringContaining('pilot takes --assignment FILE')],
      [2, expect.stringContaining('pilot takes --assignment FILE')],
      [1, 'wsp: bad slot assignment: slotId is not a slot id'],
      [1, expect.stringContaining('ENOENT')],
    ]);
  });
});

describe('a pilot', slow, () => {
  let server: WebSocketServer;
  let child: Child | undefined;
  const heard: PilotMessage[] = [];
  beforeEach(async () => {
    heard.length = 0;
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await child?.exited;
    for (const client of server.clients) client.terminate();
    server.close();
  });

  const assignment = (change: object = {}): object => ({
    slotId,
    secret,
    serviceUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serviceCa: null,
    transports: [{ kind: 'websocket' }],
    nodeNameEnv: ['NODE_OF_JOB'],
    jobEndEnv: ['END_OF_JOB'],
    walltimeMs: 3_600_000,
    memoryMiB: 512,
    cpus: 1,
    killDelayMs: 30_000,
    node: {
      workDir: join(place, 'work'),
      helper: ['/bin/false'],
      adaptation: 'none',
      shutdownGraceMs: 1_000,
      keepLogs: { slots: 0, forMs: 0 },
      vmm: { kind: 'sim', startMs: 1, bootMs: 1, stopMs: 1 },
    },
    ...change,
  });
  /** Starts it with these arguments, and this on its standard input; resolves when it has connected. */
  async function connects(args: readonly string[], input = '') {
    const connected = once(server, 'connection') as Promise<[WebSocket, IncomingMessage]>;
    const env = { ...process.env, NODE_OF_JOB: 'n07', END_OF_JOB: '4000000000' };
    child = await startChild([process.execPath, ...args], { env, stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin?.end(input);
    const [socket, request] = await connected;
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as PilotMessage;
      heard.push(message);
      if (message.type === 'notification') say({ type: 'ack', seq: message.seq });
    });
    const say = (message: ServiceMessage): void => socket.send(JSON.stringify(message));
    await expect.poll(() => heard.length, slow).toBeGreaterThan(0);
    return { hello: heard[0] as PilotHello, request, say, child };
  }
  const at = (name: string): string => join(place, 'work/n07', slotId, name);

  it('joins its slot from where its job runs, keeps its log there, and ends when the slot is over', async () => {
    // What a slot of long ago has left.
    mkdirSync(join(place, 'work/n07/slot-bbbbbbbbbb'), { recursive: true, mode: 0o700 });
    writeFileSync(join(place, 'work/n07/slot-bbbbbbbbbb/pilot.log'), '');
    utimesSync(join(place, 'work/n07/slot-bbbbbbbbbb/pilot.log'), 1_000, 1_000);
    const file = join(place, 'assignment.json');
    writeFileSync(file, JSON.stringify(assignment()));
    const { hello, request, say, child: pilot } = await connects([program, 'pilot', '--assignment', file]);
    expect(hello).toMatchObject({ type: 'hello', slotId, node: 'n07', address: '127.0.0.1', vms: [] });
    expect([request.url, request.headers.authorization]).toEqual([
      `/pilot/v1/slots/${slotId}/nodes/n07`,
      `Bearer ${secret}`,
    ]);
    say({ type: 'welcome', ackedSeq: 0, now: systemClock.now() });
    const node = () =>
      heard.flatMap(each => (each.type === 'notification' && each.body.kind === 'node' ? [each.body] : []));
    await expect.poll(() => node().map(({ state }) => state), slow).toContain('reserved');
    expect(node()).toContainEqual(expect.objectContaining({ jobEndsAt: 4_000_000_000_000 }));
    expect(readFileSync(at('pilot.log'), 'utf8')).toContain('"pilot started"');
    expect(readFileSync(at('pilot.log'), 'utf8')).toContain(`"slotId":"${slotId}","node":"n07"`);
    expect(readFileSync(at('pilot'), 'utf8')).toContain(String(pilot.pid));
    expect(existsSync(at('notifications.jsonl'))).toBe(true);
    await expect.poll(() => existsSync(join(place, 'work/n07/slot-bbbbbbbbbb')), slow).toBe(false);
    say({ type: 'dismiss', message: 'the slot has ended' });
    expect(await pilot.exited).toEqual({ code: 0, signal: null });
    expect(readFileSync(at('pilot.log'), 'utf8')).not.toContain(secret);
  });

  it.each(['SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const)(
    'that came as one text with its assignment tells of %s',
    async signal => {
      const first = `globalThis.wspAssignment=${JSON.stringify(assignment())};`;
      const { say, child: pilot } = await connects(['-'], `${first}\n${readFileSync(program, 'utf8')}`);
      say({ type: 'welcome', ackedSeq: 0, now: systemClock.now() });
      pilot.kill(signal);
      await expect.poll(() => JSON.stringify(heard), slow).toContain(`"state":"preempting"`);
      expect(await pilot.exited).toMatchObject({ signal: null });
    },
  );

  it('without a place of its own says so, and writes nothing', async () => {
    mkdirSync(join(place, 'work/n07'), { recursive: true });
    writeFileSync(join(place, 'work/n07', slotId), 'a file');
    const first = `globalThis.wspAssignment=${JSON.stringify(assignment())};`;
    const { say, child: pilot } = await connects(['-'], `${first}\n${readFileSync(program, 'utf8')}`);
    say({ type: 'welcome', ackedSeq: 0, now: systemClock.now() });
    await expect.poll(() => JSON.stringify(heard), slow).toMatch(/"code":"(workdir_unsafe|work_directory)"/);
    expect(readFileSync(join(place, 'work/n07', slotId), 'utf8')).toBe('a file');
    expect(await pilot.exited).toEqual({ code: 1, signal: null });
  });
});
