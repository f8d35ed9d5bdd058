import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { documentFile } from '../../scripts/openapi.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { mungeText } from '../../src/protocol/login.ts';
import { Logins } from '../../src/service/access/logins.ts';
import { type TestApi, testApi } from '../support/api.ts';

/**
 * Every route as no one, another user, the owner, an operator, an administrator, and the owner with a token for looking only. What they get is the table in
 * docs/access.md: `WRITE=1 npx vitest run test/unit/access-matrix.test.ts` writes it.
 */

const page = new URL('../../docs/access.md', import.meta.url);
const ws = 'ws-bbbbbbbbbb';
const who = [
  'no one',
  'another user',
  'the owner',
  'an operator',
  'an administrator',
  'the owner, `read`',
] as const;
type Who = (typeof who)[number];

/**
 * A request for each route of the document, and more where what is asked decides who may (a query,
 * or words after the path); the owner is ann, whose workspace `osg` it is about.
 */
const requests: Readonly<Record<string, { readonly url?: string; readonly body?: object }>> = {
  'GET /v1/health': {},
  'GET /v1/login': {},
  'POST /v1/login/file': {},
  'POST /v1/login/file/claim': {},
  'POST /v1/login/munge': { body: { credential: 'MUNGE:AwQD:' } },
  'GET /v1/whoami': {},
  'GET /v1/types': {},
  'GET /v1/images': {},
  'GET /v1/slots': {},
  'GET /v1/nodes': {},
  'GET /v1/events': { url: `/v1/events?workspace=${ws}` },
  'GET /v1/events/stream': { url: `/v1/events/stream?workspace=${ws}` },
  'GET /v1/usage': {},
  'GET /v1/workspaces': {},
  'POST /v1/workspaces': { body: { groups: [{ name: 'a', image: 'mini' }] } },
  'POST /v1/workspaces/dry-run': { body: { groups: [{ name: 'a', image: 'mini' }] } },
  'GET /v1/workspaces/{workspace}': {},
  'DELETE /v1/workspaces/{workspace}': {},
  'POST /v1/workspaces/{workspace}/groups': { body: { groups: [{ name: 'a', image: 'mini' }] } },
  'POST /v1/workspaces/{workspace}/launch': {},
  'POST /v1/workspaces/{workspace}/extend': { body: { durationMs: 60_000 } },
  'POST /v1/workspaces/{workspace}/operations': { body: { operation: 'pause' } },
  'GET /v1/workspaces/{workspace}/timeline': {},
  'GET /v1/workspaces/{workspace}/known-hosts': {},
  'GET /v1/projects': {},
  'PUT /v1/projects/{project}': { url: '/v1/projects/qcd', body: {} },
  'GET /v1/users': {},
  'PUT /v1/users/{user}': { url: '/v1/users/carl', body: { role: 'user' } },
  'GET /v1/tokens': {},
  'GET /v1/tokens?all=true': {},
  'POST /v1/tokens': { body: {} },
  'POST /v1/tokens for another user': { body: { user: 'carl' } },
  'DELETE /v1/tokens/{token}': {},
  'GET /v1/audit': {},
  'GET /v1/webhooks': {},
  'POST /v1/webhooks': { body: { url: 'https://10.255.0.1/hook' } },
  'DELETE /v1/webhooks/{webhook}': {},
  'POST /v1/webhooks/{webhook}/resume': {},
  'GET /v1/webhooks/{webhook}/dead-letters': {},
  'GET /v1/workspaces/{workspace}/vms/{vm}/stream': {
    url: `/v1/workspaces/${ws}/vms/a-0/stream?target=console`,
  },
};

const stream = 'GET /v1/workspaces/{workspace}/vms/{vm}/stream';
let api: TestApi;
/** Ann's: one for looking, and one to revoke. */
let readToken: string;
let revocable: string;
let hook: string;
let directory: string;
let logins: Logins;
beforeEach(async () => {
  logins = await openLogins();
  api = await testApi(systemClock, { perSecond: 1_000, burst: 10_000 }, logins);
  api.engine.addWorkspace({ id: ws, name: 'osg', owner: 'ann' });
  readToken = (await api.accounts.giveToken('ann', { scope: 'read' })).token;
  hook = (await api.webhooks.create('ann', null, { url: 'https://10.255.0.1/hook' })).id;
  revocable = (await api.accounts.giveToken('ann', {})).id;
});
afterEach(async () => {
  await api.webhooks.stop();
  await api.app.close();
  rmSync(directory, { recursive: true });
});

/** Logins of which every one is right. */
async function openLogins(): Promise<Logins> {
  directory = mkdtempSync(join(tmpdir(), 'wsp-matrix-'));
  const logins: Logins = new Logins({
    clock: systemClock,
    random: systemRandom,
    directory,
    mungeSocket: '/run/munge',
    ownUid: 1,
    names: () => new Set(['https://head:1']),
    processes: {
      run: async ([command]) => ({
        code: 0,
        signal: null,
        stdout: command === 'unmunge' ? unmunged(logins) : '',
        stderr: '',
      }),
    },
  });
  await logins.open();
  return logins;
}

/** What unmunge says of a good credential. */
function unmunged(logins: Logins): string {
  const text = mungeText('https://head:1', logins.ways().nonce ?? '');
  return `STATUS: Success (0)\nUID: ann (0)\nUID_RESTRICTION: wsp (1)\n\n${text}`;
}

function authorization(as: Who): { authorization?: string } {
  switch (as) {
    case 'no one':
      return {};
    case 'another user':
      return api.as('bob');
    case 'the owner':
      return api.as('ann');
    case 'an operator':
      return api.as('olga');
    case 'an administrator':
      return api.as('admin');
    case 'the owner, `read`':
      return { authorization: `Bearer ${readToken}` };
  }
}

/** Of a login whose file is there. */
function writtenClaim(): string {
  const { path, content, claim } = logins.begin();
  writeFileSync(path, content);
  return claim;
}

/** What the answer says of the caller's rights; anything but a refusal means that they may. */
async function answer(route: string, as: Who): Promise<string> {
  const [method = '', path = ''] = route.split(' ');
  const { url = path, body = route.endsWith('/claim') ? { claim: writtenClaim() } : undefined } =
    requests[route] ?? {};
  if (route === stream) return mayOpen(url, as);
  if (route === 'GET /v1/events/stream') return mayListen(url, as);
  const { statusCode } = await api.app.inject({
    method: method as 'GET',
    url: url.replace('{workspace}', ws).replace('{token}', revocable).replace('{webhook}', hook),
    headers: authorization(as),
    ...(body === undefined ? {} : { payload: body }),
  });
  expect(statusCode).toBeLessThan(500);
  return [401, 403, 404].includes(statusCode) ? String(statusCode) : 'yes';
}

/** A WebSocket is asked for as a browser would; what counts is whether it is refused, and as what. */
async function mayOpen(url: string, as: Who): Promise<string> {
  const origin = await api.listen();
  const headers = {
    ...authorization(as),
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const status = await new Promise<number>((resolve, reject) => {
    const request = httpRequest(`${origin}${url}`, { headers });
    request.once('response', ({ statusCode = 0 }) => resolve(statusCode));
    request.once('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    request.once('error', reject);
    request.end();
  });
  return [401, 403, 404].includes(status) ? String(status) : 'yes';
}

/** It has no end: what counts is how it begins. */
async function mayListen(url: string, as: Who): Promise<string> {
  const cut = new AbortController();
  const origin = await api.listen();
  const { status } = await fetch(`${origin}${url}`, { headers: authorization(as), signal: cut.signal });
  cut.abort();
  return [401, 403, 404].includes(status) ? String(status) : 'yes';
}

const documented = (): readonly string[] => {
  const { paths } = JSON.parse(readFileSync(documentFile, 'utf8')) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
};

describe('who may do what', () => {
  it('is tried on every route that the document has', () => {
    const routes = Object.keys(requests).map(request => /^\S+ [^ ?]+/.exec(request)?.[0]);
    expect(new Set(routes)).toEqual(new Set([...documented(), stream]));
  });

  it('is the table of docs/access.md', async () => {
    const rows: string[] = [];
    for (const route of Object.keys(requests)) {
      const cells: string[] = [];
      for (const as of who) cells.push(await answer(route, as));
      rows.push(`| \`${route}\` | ${cells.join(' | ')} |`);
    }
    const table = [`| route | ${who.join(' | ')} |`, `|---|${who.map(() => '---').join('|')}|`, ...rows].join(
      '\n',
    );
    const text = readFileSync(page, 'utf8');
    const [, before = '', after = ''] =
      /^([\s\S]*<!-- matrix -->\n)[\s\S]*?(\n<!-- end -->[\s\S]*)$/.exec(text) ?? [];
    if (process.env['WRITE']) writeFileSync(page, `${before}${table}${after}`);
    expect(readFileSync(page, 'utf8')).toBe(`${before}${table}${after}`);
  });
});

describe('the way into a VM', () => {
  it('is in the audit log, with who took it and who was refused', async () => {
    await answer(stream, 'the owner');
    await answer(stream, 'an operator');
    const { entries } = (await api.app.inject({ url: '/v1/audit', headers: api.as('admin') })).json<{
      entries: { user: string; status: number; path: string }[];
    }>();
    const path = `/v1/workspaces/${ws}/vms/a-0/stream`;
    expect(entries.map(entry => [entry.user, entry.path, entry.status])).toEqual([
      ['olga', path, 403],
      ['ann', path, 101],
    ]);
  });
});

describe('lists', () => {
  it.each([
    ['no one', undefined],
    ['another user', 0],
    ['the owner', 1],
    ['an operator', 1],
    ['an administrator', 1],
  ] as const)("show ann's things to %s accordingly", async (as, count) => {
    for (const [url, key] of [
      ['/v1/workspaces', 'workspaces'],
      ['/v1/slots', 'slots'],
      ['/v1/nodes', 'nodes'],
      ['/v1/usage', 'lines'],
    ] as const) {
      const body = (await api.app.inject({ url, headers: authorization(as) })).json<
        Record<string, unknown[]>
      >();
      expect([url, body[key]?.length]).toEqual([url, count]);
    }
  });
});
