import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { documentFile } from '../../../scripts/openapi.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.app.close());

type Answer = Record<string, unknown> & { readonly next: string | number | null };

async function ask(url: string, user = 'admin', method: 'GET' | 'POST' | 'PUT' | 'DELETE' = 'GET') {
  const answer = await api.app.inject({ method, url, headers: api.as(user) });
  return { status: answer.statusCode, body: answer.json<Answer>() };
}

const ids = ['b', 'c', 'd', 'e', 'f'].map(letter => `ws-${letter.repeat(10)}`);

describe('workspaces', () => {
  beforeEach(() => {
    const states = ['running', 'queued', 'running', 'ended', 'running'] as const;
    for (const [index, id] of ids.entries())
      api.engine.addWorkspace({
        id,
        name: index === 4 ? 'last' : 'osg',
        owner: index < 3 ? 'ann' : 'bob',
        createdAt: 1_000 * (5 - index),
        state: states[index] ?? 'running',
      });
  });
  const idsOf = ({ body }: { body: Answer }): readonly string[] =>
    (body['workspaces'] as readonly { readonly id: string }[]).map(({ id }) => id);

  it.each<[string, readonly number[]]>([
    ['', [4, 2, 1, 0]],
    ['all=true', [4, 3, 2, 1, 0]],
    ['state=queued', [1]],
    ['state=queued&state=ended', [3, 1]],
    ['owner=bob', [4]],
    ['name=last', [4]],
    ['since=1970-01-01T00:00:03Z', [2, 1, 0]],
    ['owner=ann&state=running&limit=1', [2]],
  ])('report H: are filtered: %s', async (query, wanted) => {
    expect(idsOf(await ask(`/v1/workspaces?${query}`))).toEqual(wanted.map(index => ids[index]));
  });

  it('report H: come in pages, each once, though others come and go meanwhile', async () => {
    const seen: string[] = [];
    let cursor = '';
    for (let pages = 0; pages < 5; pages++) {
      const answer = await ask(`/v1/workspaces?limit=2${cursor}`);
      seen.push(...idsOf(answer));
      if (pages === 0) {
        api.engine.retire(ids[4] ?? '');
        api.engine.addWorkspace({ id: 'ws-gggggggggg', createdAt: 9_000 });
      }
      if (answer.body.next === null) break;
      cursor = `&cursor=${answer.body.next}`;
    }
    expect(seen).toEqual([ids[4], ids[2], ids[1], ids[0], 'ws-gggggggggg']);
  });

  it('report H: nobody reads what is others’ by a filter', async () => {
    expect(idsOf(await ask('/v1/workspaces?owner=bob', 'ann'))).toEqual([]);
  });
});

describe('all lists', () => {
  it.each([
    ['/v1/workspaces', 'workspaces'],
    ['/v1/slots', 'slots'],
    ['/v1/nodes', 'nodes'],
    ['/v1/images', 'images'],
    ['/v1/users', 'users'],
    ['/v1/projects', 'projects'],
    ['/v1/tokens', 'tokens'],
    ['/v1/webhooks', 'webhooks'],
    ['/v1/usage', 'lines'],
    ['/v1/audit', 'entries'],
  ])('report H: %s comes in pages', async (path, key) => {
    for (const id of ids.slice(0, 3)) api.engine.addWorkspace({ id, owner: id.slice(3) });
    for (const name of ['p1', 'p2', 'p3']) {
      await api.accounts.changeProject(name, {});
      await api.accounts.giveToken('admin', { label: name });
      await ask(`/v1/users/${name}`, 'nobody', 'PUT');
    }
    const whole = (await ask(path)).body;
    expect(whole.next).toBeNull();
    const entries = whole[key] as unknown[];
    if (key === 'images' || key === 'webhooks') expect(entries).toEqual([]);
    else expect(entries.length).toBeGreaterThanOrEqual(3);
    const paged: unknown[] = [];
    let from = '';
    do {
      const { body } = await ask(`${path}?limit=2${from}`);
      const page = body[key] as unknown[];
      expect(page.length).toBeLessThanOrEqual(2);
      paged.push(...page);
      from = body.next === null ? '' : `&${key === 'entries' ? 'before' : 'cursor'}=${body.next}`;
    } while (from !== '');
    expect(paged).toEqual(entries);
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=x',
    'cursor=!',
    'cursor=a',
    'state=happy',
    'owner=A%20B',
    'since=-5',
  ])('report H: what makes no sense is refused in words: %s', async query => {
    const { status, body } = await ask(`/v1/workspaces?${query}`);
    expect(status).toBe(400);
    expect(JSON.stringify(body)).not.toMatch(/pattern|\^/);
    expect(JSON.stringify(body)).toContain(`"path":"${query.split('=')[0]}`);
  });
});

describe('parameters that a route does not know', () => {
  const { paths } = JSON.parse(readFileSync(documentFile, 'utf8')) as { paths: Record<string, object> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => [method.toUpperCase(), path] as const),
  );

  it.each(routes)('report H: are refused: %s %s', async (method, path) => {
    api.engine.addWorkspace({ id: ids[0] ?? '' });
    const values: Readonly<Record<string, string>> = {
      workspace: 'osg',
      user: 'ann',
      project: 'p',
      token: 'tok-aaaaaaaaaa',
      webhook: 'hook-aaaaaaaaaa',
    };
    const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? name);
    const { status, body } = await ask(`${url}?stete=running`, 'admin', method as 'GET');
    expect(status).toBe(400);
    expect(body).toMatchObject({
      error: {
        code: 'invalid_request',
        message: expect.stringMatching(/^stete: is not known here; known: /),
        details: [{ path: 'stete' }],
      },
    });
  });
});
