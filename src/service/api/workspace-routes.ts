import Type from 'typebox';
import { UserName } from '../../protocol/access.ts';
import { literals } from '../../protocol/schema.ts';
import { workspaceStates } from '../../protocol/states.ts';
import { viewOf, workspaceView } from './views.ts';
import type { Engine, KnownWorkspace, WorkspaceQuery } from '../core/engine-api.ts';
import { callerOf } from './auth.ts';
import { findWorkspace, mayRead, readableOwner, withProject } from './owners.ts';
import { ageIn, byAge, listQuery, mostEntries, Next, pageOf } from './paging.ts';
import { Moment, momentOf, nameOf, type Route, WorkspaceParams } from './route.ts';
import { ref } from './schemas.ts';

const create: Route = (app, { engine }) => {
  const schema = {
    operationId: 'createWorkspace',
    summary: 'Create a workspace; the answer comes once it is durable',
    body: ref('WorkspaceRequest'),
    response: { 201: ref('Workspace') },
  };
  app.post('/v1/workspaces', { schema }, async (request, reply) => {
    const workspace = await engine.workspaces.create(
      callerOf(request).user,
      withProject(callerOf(request), request.body),
    );
    void reply.code(201).header('location', `/v1/workspaces/${workspace.id}`);
    return viewOf(engine, workspace);
  });
};

const list: Route = (app, { engine }) => {
  const schema = {
    operationId: 'listWorkspaces',
    summary: 'The live workspaces, oldest first; with all=true the ended ones too',
    querystring: listQuery({
      all: Type.Optional(Type.Boolean()),
      state: Type.Optional(
        Type.Array(literals(workspaceStates), { maxItems: 16, description: 'only in these states' }),
      ),
      owner: Type.Optional(UserName),
      name: Type.Optional(nameOf('workspace')),
      since: Type.Optional(Moment),
    }),
    response: { 200: Type.Object({ workspaces: Type.Array(ref('Workspace')), next: Next }) },
  };
  app.get('/v1/workspaces', { schema }, async request => {
    const caller = callerOf(request);
    const { all, state: states, owner = readableOwner(caller), name, since } = request.query;
    const { cursor, limit = mostEntries } = request.query;
    const wanted = {
      ...(owner === undefined ? {} : { owner }),
      ...(name === undefined ? {} : { name }),
      ...(since === undefined ? {} : { sinceAt: momentOf(since, 'since') }),
      ...(states ? { states } : {}),
    };
    const pastToo = states?.includes('ended') ?? all === true;
    let found: readonly KnownWorkspace[] = [];
    if (owner !== undefined && !mayRead(caller, owner)) found = [];
    else if (!pastToo) found = liveOf(engine, wanted);
    else {
      const after = cursor === undefined ? {} : { after: ageIn(cursor) };
      // One more tells whether there is another page.
      found = await engine.list({ ...wanted, ...after, limit: limit + 1 });
    }
    const key = ({ workspace: { createdAt, id } }: KnownWorkspace): string => byAge(createdAt, id);
    const { page, next } = pageOf(found, key, request.query);
    return { workspaces: page.map(({ workspace, among }) => workspaceView(among, workspace)), next };
  });
};

/** What has not ended is in memory. */
function liveOf(
  { state }: Pick<Engine, 'state'>,
  { owner, name, sinceAt, states }: Omit<WorkspaceQuery, 'limit'>,
): readonly KnownWorkspace[] {
  return [...state.workspaces.values()]
    .filter(
      workspace =>
        (states ? states.includes(workspace.state) : workspace.state !== 'ended') &&
        (owner === undefined || workspace.owner === owner) &&
        (name === undefined || workspace.name === name) &&
        (sinceAt === undefined || workspace.createdAt >= sinceAt),
    )
    .map(workspace => ({ workspace, among: state }));
}

const show: Route = (app, { engine }) => {
  const schema = {
    operationId: 'getWorkspace',
    summary: 'One workspace with its VMs and its slot',
    params: WorkspaceParams,
    response: { 200: ref('Workspace') },
  };
  app.get('/v1/workspaces/:workspace', { schema }, async request => {
    const { workspace, among } = await findWorkspace(engine, callerOf(request), request.params.workspace);
    return workspaceView(among, workspace);
  });
};

const destroy: Route = (app, { engine }) => {
  const schema = {
    operationId: 'destroyWorkspace',
    summary: 'Destroy a workspace; the answer comes once the order is durable',
    params: WorkspaceParams,
    response: { 202: ref('Workspace') },
  };
  app.delete('/v1/workspaces/:workspace', { schema }, async (request, reply) => {
    const caller = callerOf(request);
    const { workspace } = await findWorkspace(engine, caller, request.params.workspace);
    void reply.code(202);
    return viewOf(engine, await engine.workspaces.destroy(workspace.id, caller.user));
  });
};

/** Workspaces: create, list, look at, destroy. */
export const workspaceRoutes: readonly Route[] = [create, list, show, destroy];
