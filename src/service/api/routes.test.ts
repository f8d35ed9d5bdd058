import { Value } from 'typebox/value';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../../test/support/api.ts';
import { ErrorView, NodeView, SlotView, TimelineView, WorkspaceView } from '../../protocol/api.ts';
import { WspError } from '../../protocol/errors.ts';
import { eventTypes } from '../../protocol/events.ts';

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.app.close());

const group = { name: 'a', image: 'mini' };
const ws = 'ws-bbbbbbbbbb';

async function call(method: 'GET' | 'POST' | 'DELETE', url: string, user = 'ann', payload?: object | string) {
  const answer = await api.app.inject({
    method,
    url,
    headers: { ...api.as(user), ...(payload === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answer.statusCode, body: answer.json<Record<string, unknown>>(), headers: answer.headers };
}

async function refused(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  user?: string,
  payload?: object | string,
) {
  const { status, body } = await call(method, url, user, payload);
  expect(Value.Errors(ErrorView, body)).toEqual([]);
  return {
    status,
    ...(body['error'] as { code: string; message: string; details?: { path: string; message: string }[] }),
  };
}

describe('workspaces', () => {
  it('are created for the user of the token, with the defaults filled in', async () => {
    const { status, body, headers } = await call('POST', '/v1/workspaces', 'ann', {
      name: 'osg',
      groups: [group],
    });
    expect(status).toBe(201);
    expect(Value.Errors(WorkspaceView, body)).toEqual([]);
    expect(headers.location).toBe('/v1/workspaces/ws-aaaaaaaaaa');
    expect(api.engine.created).toEqual([
      { owner: 'ann', request: { name: 'osg', groups: [{ ...group, count: 1, memoryMiB: 256, cpus: 1 }] } },
    ]);
  });

  it.each<[string, object | string, RegExp | undefined, number]>([
    ['unknown key', { groups: [{ ...group, memory: 1 }] }, /^groups\[0\]\.memory$/, 400],
    ['number in quotes', { groups: [{ ...group, count: '2' }] }, /^groups\[0\]\.count$/, 400],
    ['no groups', {}, /^groups$/, 400],
    ['no body', 'null', /^$/, 400],
    ['not JSON', '{"groups":', undefined, 400],
    ['too large', { groups: [{ ...group, userData: 'x'.repeat(1_100_000) }] }, undefined, 413],
  ])('are not created from what is malformed: %s', async (_what, payload, path, status) => {
    const error = await refused('POST', '/v1/workspaces', 'ann', payload);
    expect(error).toMatchObject({ code: 'invalid_request', status });
    if (path) expect(error.details?.map(detail => detail.path)).toEqual([expect.stringMatching(path)]);
    expect(api.engine.created).toEqual([]);
  });

  it.each([
    ['['.repeat(900_000), /nested more than/],
    [`{"groups":[${'0,'.repeat(400_000)}0]}`, /more than 20000 values/],
  ])('security 25: are not created from a body that is too much to parse', async (payload, words) => {
    const error = await refused('POST', '/v1/workspaces', 'ann', payload);
    expect(error).toMatchObject({ code: 'invalid_request', status: 400 });
    expect(error.message).toMatch(words);
  });

  it('security 25: are told of no more mistakes than anybody reads', async () => {
    const keys = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, 0]));
    const error = await refused('POST', '/v1/workspaces', 'ann', { groups: [group], ...keys });
    expect(error.details).toHaveLength(100);
  });

  it('report 6: carry user data as text or as base64, and no bytes that are no UTF-8', async () => {
    const userData = { base64: 'H4sIAAAA//8=' };
    expect((await call('POST', '/v1/workspaces', 'ann', { groups: [{ ...group, userData }] })).status).toBe(
      201,
    );
    expect(api.engine.created).toMatchObject([{ request: { groups: [{ userData }] } }]);
    const odd = await refused('POST', '/v1/workspaces', 'ann', {
      groups: [{ ...group, userData: { base64: '?' } }],
    });
    expect(odd.details?.map(({ path }) => path)).toEqual(['groups[0].userData.base64']);
    const latin1 = Buffer.from(`{"groups":[{"name":"a","image":"mini","userData":"für"}]}`, 'latin1');
    expect(await refused('POST', '/v1/workspaces', 'ann', latin1)).toMatchObject({
      status: 400,
      code: 'invalid_request',
      message: 'the body is not UTF-8',
    });
    expect(api.engine.created).toHaveLength(1);
  });

  it('carry the core’s refusal with its code', async () => {
    api.engine.refusal = new WspError('exceeds_site', 'this site has 4 nodes', { hint: 'ask for fewer' });
    const error = await refused('POST', '/v1/workspaces', 'ann', { groups: [group] });
    expect(error).toMatchObject({
      status: 422,
      code: 'exceeds_site',
      message: 'this site has 4 nodes',
      hint: 'ask for fewer',
    });
  });

  it('are listed to their owner and to admin, ended ones only on request', async () => {
    api.engine.addWorkspace({ id: ws });
    api.engine.addWorkspace({ id: 'ws-cccccccccc', owner: 'bob', createdAt: 500 });
    api.engine.addWorkspace({ id: 'ws-dddddddddd', state: 'ended' });
    const ids = async (url: string, user: string) => {
      const { workspaces } = (await call('GET', url, user)).body as { workspaces: { id: string }[] };
      return workspaces.map(each => each.id);
    };
    expect(await ids('/v1/workspaces', 'ann')).toEqual([ws]);
    expect(await ids('/v1/workspaces?all=true', 'ann')).toEqual([ws, 'ws-dddddddddd']);
    expect(await ids('/v1/workspaces', 'admin')).toEqual(['ws-cccccccccc', ws]);
  });

  it('are found by id and by name; a name means the newest', async () => {
    api.engine.addWorkspace({ id: ws, createdAt: 1_000, state: 'ended' });
    api.engine.addWorkspace({ id: 'ws-cccccccccc', createdAt: 2_000 });
    expect((await call('GET', '/v1/workspaces/osg')).body['id']).toBe('ws-cccccccccc');
    const { body } = await call('GET', `/v1/workspaces/${ws}`);
    expect(Value.Errors(WorkspaceView, body)).toEqual([]);
    expect(body).toMatchObject({
      id: ws,
      contextualized: true,
      startsAt: '1970-01-01T00:00:02.000Z',
      slot: { lrmJobId: '42', state: 'ready' },
      vms: [
        {
          name: 'a-0',
          node: 'n01',
          mac: '52:54:0a:5a:00:01',
          addresses: [{ network: 'private', address: '10.90.0.1' }],
        },
      ],
    });
  });

  it('say why they wait, in the LRM’s words', async () => {
    const workspace = api.engine.addWorkspace({ id: ws, state: 'queued' });
    api.engine.changeSlot(workspace.slotId, { lrmReason: 'the job is held' });
    expect((await call('GET', '/v1/workspaces/osg')).body['reason']).toEqual({
      code: 'lrm_waiting',
      message: 'the job is held',
    });
  });

  it.each([
    'GET /v1/workspaces/osg',
    `DELETE /v1/workspaces/${ws}`,
    'GET /v1/workspaces/osg/timeline',
    'GET /v1/workspaces/osg/known-hosts',
    'GET /v1/events?workspace=osg',
  ])('of others are not there: %s', async line => {
    const [method = '', url = ''] = line.split(' ');
    api.engine.addWorkspace({ id: ws, owner: 'bob' });
    expect(await refused(method as 'GET', url)).toMatchObject({ status: 404, code: 'not_found' });
    expect(api.engine.destroyed).toEqual([]);
    expect((await call(method as 'GET', url, 'admin')).status).toBeLessThan(300);
  });

  it('are destroyed in the user’s name', async () => {
    api.engine.addWorkspace({ id: ws });
    expect((await call('DELETE', '/v1/workspaces/osg')).status).toBe(202);
    expect(api.engine.destroyed).toEqual([{ workspaceId: ws, by: 'ann' }]);
  });

  it('have known hosts and a timeline', async () => {
    api.engine.addWorkspace({ id: ws });
    api.engine.tell({ type: 'workspace.requested', workspaceId: ws, recordedAt: 1_020 });
    expect((await call('GET', '/v1/workspaces/osg/known-hosts')).body).toEqual({
      lines: [`${ws}.a-0 ssh-ed25519 AAAA`],
    });
    const { body } = await call('GET', '/v1/workspaces/osg/timeline');
    expect(Value.Errors(TimelineView, body)).toEqual([]);
    expect(body).toMatchObject({
      workspace: ws,
      hops: [
        { hop: 'request', durationMs: 20 },
        { hop: 'submit', durationMs: null },
      ],
    });
  });
});

describe('slots and nodes', () => {
  it('are those of the user’s workspaces', async () => {
    api.engine.addWorkspace({ id: ws });
    api.engine.addWorkspace({ id: 'ws-cccccccccc', owner: 'bob' });
    const { slots } = (await call('GET', '/v1/slots')).body as { slots: SlotView[] };
    expect(slots.map(slot => [slot.id, slot.lrm, Value.Check(SlotView, slot)])).toEqual([
      ['slot-bbbbbbbbbb', 'fake', true],
    ]);
    const { nodes } = (await call('GET', '/v1/nodes')).body as { nodes: NodeView[] };
    expect(nodes.map(node => [node.name, node.vms, Value.Check(NodeView, node)])).toEqual([
      ['n01', [`${ws}.a-0`], true],
    ]);
    expect(((await call('GET', '/v1/slots', 'admin')).body as { slots: unknown[] }).slots).toHaveLength(2);
  });
});

describe('users', () => {
  it.each([{ role: 'user' }, { role: 'operator' }, { disabled: true }])(
    'are changed by administrators, who cannot lock themselves out: %j',
    async payload => {
      const change = (user: string) =>
        api.app.inject({ method: 'PUT', url: `/v1/users/${user}`, headers: api.as('admin'), payload });
      const own = await change('admin');
      expect([own.statusCode, own.json<{ error: { code: string } }>().error.code]).toEqual([409, 'conflict']);
      expect((await change('ann')).json()).toMatchObject(payload);
      expect((await call('GET', '/v1/whoami', 'admin')).body).toMatchObject({ role: 'admin' });
    },
  );
});

describe('tokens', () => {
  it.each([
    ['none', {}],
    ['unknown', { authorization: 'Bearer nobody' }],
    ['another scheme', { authorization: 'Basic token-of-ann' }],
    ['empty', { authorization: 'Bearer ' }],
  ])('%s: unauthorized', async (_what, headers) => {
    const answer = await api.app.inject({ url: '/v1/workspaces', headers });
    expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([
      401,
      'unauthorized',
    ]);
  });

  it('are not needed for health and for the document', async () => {
    expect((await api.app.inject({ url: '/v1/health' })).json()).toEqual({ status: 'ok', version: '1.2.3' });
    expect((await api.app.inject({ url: '/openapi.json' })).json<{ openapi: string }>().openapi).toBe(
      '3.1.0',
    );
  });

  it.each(['ann', 'olga'])(
    'for others are given, and all are listed, by administrators alone: not by %s',
    async user => {
      const forbidden = { status: 403, code: 'forbidden' };
      expect(await refused('POST', '/v1/tokens', user, { user: 'bob' })).toMatchObject(forbidden);
      expect(await refused('GET', '/v1/tokens?all=true', user)).toMatchObject(forbidden);
      expect(api.accounts.tokensOf('bob')).toEqual([]);
      const given = await call('POST', '/v1/tokens', 'admin', { user: 'bob' });
      expect([given.status, given.body['user']]).toEqual([201, 'bob']);
      expect((await call('GET', '/v1/tokens', user)).body['tokens']).toEqual([]);
      expect((await call('GET', '/v1/tokens?all=true', 'admin')).body['tokens']).toMatchObject([
        { user: 'bob' },
      ]);
    },
  );

  it('security 26: make none that outlive them, and take those that they made with them', async () => {
    const as = async (token: string, payload: object) => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await api.app.inject({ method: 'POST', url: '/v1/tokens', headers, payload });
      return {
        status: answer.statusCode,
        ...answer.json<{ id: string; token: string; expiresAt: string }>(),
      };
    };
    const hour = await as('token-of-ann', { lifetimeMs: 3_600_000 });
    expect(await as(hour.token, { lifetimeMs: 7_200_000 })).toMatchObject({ status: 403 });
    const child = await as(hour.token, {});
    const grandchild = await as(child.token, { lifetimeMs: 60_000 });
    expect([child.status, child.expiresAt, grandchild.status]).toEqual([201, hour.expiresAt, 201]);
    await api.accounts.revokeToken(hour.id);
    for (const { token } of [hour, child, grandchild]) expect(api.accounts.callerOf(token)).toBeUndefined();
    expect(api.accounts.callerOf('token-of-ann')?.user).toBe('ann');
  });

  it('never reach the log', async () => {
    await call('GET', '/v1/workspaces');
    expect(api.logged.map(line => line.message)).toContain('answered');
    expect(JSON.stringify(api.logged)).not.toContain('token-of');
  });
});

describe('kinds of events', () => {
  const webhook = (...types: string[]) => ({ url: 'https://10.255.0.1/hook', types });

  it('may be asked for, all of them', async () => {
    expect((await call('POST', '/v1/webhooks', 'ann', webhook(...eventTypes))).status).toBe(201);
    for (const type of eventTypes)
      expect((await call('GET', `/v1/events?type=${type}`)).status, type).toBe(200);
  });

  it('one that there is not is refused, since nobody would ever hear of it', async () => {
    for (const error of [
      await refused('POST', '/v1/webhooks', 'ann', webhook('vm.faild')),
      await refused('GET', '/v1/events?type=vm.faild'),
      await refused('GET', '/v1/events/stream?type=vm.faild'),
    ]) {
      expect(error).toMatchObject({ status: 400, code: 'invalid_request' });
      expect(JSON.stringify(error)).toContain('vm.failed');
    }
  });
});

describe('errors', () => {
  it('an unknown route is not_found', async () => {
    expect(await refused('GET', '/v1/nothing')).toMatchObject({ status: 404, code: 'not_found' });
  });

  it('a bad query names its parameter', async () => {
    const error = await refused('GET', '/v1/events?waitMs=31000&limit=x');
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(error.details?.map(detail => detail.path).sort()).toEqual(['limit', 'waitMs']);
  });

  it('a bug says nothing but where to look; the log has the stack', async () => {
    api.engine.refusal = new Error('secret inside');
    const error = await refused('POST', '/v1/workspaces', 'ann', { groups: [group] });
    expect(error).toMatchObject({ status: 500, code: 'internal' });
    expect(JSON.stringify(error)).not.toContain('secret inside');
    expect(JSON.stringify(api.logged)).toMatch(/secret inside.*stack.*routes\.test/);
  });
});
