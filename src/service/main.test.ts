import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WspError } from '../protocol/errors.ts';
import { runService } from './main.ts';
import { openSqliteStore } from './store/sqlite.ts';

let directory: string;
let running: Promise<void>[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-service-'));
  mkdirSync(join(directory, 'images'));
  writeFileSync(join(directory, 'pilot.cjs'), '');
});
afterEach(async () => {
  process.emit('SIGTERM', 'SIGTERM');
  await Promise.allSettled(running);
  running = [];
  rmSync(directory, { recursive: true, force: true });
});

function run(
  service: object = {},
  lrm: object = { kind: 'local', nodes: 1, namespaces: 'none' },
): Promise<void> {
  const site = {
    service: { listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens', urlFile: 'url', ...service },
    lrm,
    images: { dir: 'images' },
    networks: [],
    node: { workDir: 'work', helper: ['true'], vmm: { kind: 'sim' } },
  };
  writeFileSync(join(directory, 'site.yaml'), JSON.stringify(site));
  const promise = runService(join(directory, 'site.yaml'), join(directory, 'pilot.cjs'));
  promise.catch(() => undefined);
  running.push(promise);
  return promise;
}
const urlFile = (): string => join(directory, 'url');
const failure = (promise: Promise<void>): Promise<WspError> =>
  promise.then(
    () => expect.fail('it should have failed'),
    (cause: unknown) => cause as WspError,
  );

describe('wsp service', () => {
  it('answers at the URL that it writes, and stops at SIGTERM, leaving no URL', async () => {
    const service = run();
    await vi.waitUntil(() => existsSync(urlFile()), { timeout: 10_000 });
    const url = readFileSync(urlFile(), 'utf8').trim();
    expect(await (await fetch(`${url}/v1/health`)).json()).toMatchObject({ status: 'ok' });
    const token = readFileSync(join(directory, 'tokens'), 'utf8').trim().split(' ')[1];
    const answer = await fetch(`${url}/v1/workspaces`, { headers: { authorization: `Bearer ${token}` } });
    expect(await answer.json()).toEqual({ workspaces: [], next: null });
    process.emit('SIGTERM', 'SIGTERM');
    await service;
    expect(existsSync(urlFile())).toBe(false);
    await expect(fetch(`${url}/v1/health`)).rejects.toThrow('fetch failed');
  });

  it('fails when another service has the state directory; the other one goes on', async () => {
    void run();
    await vi.waitUntil(() => existsSync(urlFile()), { timeout: 10_000 });
    const error = await failure(run());
    expect(error).toMatchObject({
      code: 'failed',
      message: expect.stringContaining(join(directory, 'state')) as string,
    });
    const url = readFileSync(urlFile(), 'utf8').trim();
    expect((await fetch(`${url}/v1/health`)).status).toBe(200);
  });

  it('fails when the port is in use, and gives the state directory free', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const error = await failure(run({ listen }));
    expect(error).toMatchObject({
      code: 'failed',
      message: `cannot listen on ${listen}: another program listens there already`,
    });
    other.close();
    void run();
    await vi.waitUntil(() => existsSync(urlFile()), { timeout: 10_000 });
  });

  it.each<[string, () => Promise<void>, string, RegExp]>([
    [
      'address is not ours',
      () => run({ listen: '192.0.2.1:0' }),
      'failed',
      /cannot listen on 192\.0\.2\.1:0: this host has no such address/,
    ],
    [
      'LRM’s commands are missing',
      () => run({}, { kind: 'slurm', binDir: 'images' }),
      'failed',
      /the commands of the LRM \(slurm\) are missing: .*images\/\w+ is not installed/,
    ],
    ['site file is wrong', () => run({ port: 1 }), 'invalid_file', /service\.port: is not known here/],
    [
      'tokens are wrong',
      () => (writeFileSync(join(directory, 'tokens'), 'x', { mode: 0o600 }), run()),
      'invalid_file',
      /tokens file .*line 1/,
    ],
    [
      'pilot is not built',
      () => (rmSync(join(directory, 'pilot.cjs')), run()),
      'failed',
      /pilot\.cjs cannot be read/,
    ],
    [
      'database has a document that cannot be read',
      async () => {
        const store = openSqliteStore({ directory: join(directory, 'state') });
        await store.putAccess([{ kind: 'webhook', id: 'hook-a', body: { id: 'hook-a' } }]);
        await store.close();
        return run();
      },
      'failed',
      /a document that cannot be read: webhook hook-a: its field owner is not text/,
    ],
  ])('fails with one clear message when the %s', async (_what, attempt, code, message) => {
    const error = await failure(attempt());
    expect(error).toBeInstanceOf(WspError);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(existsSync(urlFile())).toBe(false);
  });
});
