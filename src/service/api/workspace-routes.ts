import Type from 'typebox';
import { userPattern } from '../../protocol/access.ts';
import { WorkspaceRequest } from '../../protocol/cluster.ts';
import { namePattern } from '../../protocol/ids.ts';
import { literals } from '../../protocol/schema.ts';
import { workspaceStates } from '../../protocol/states.ts';
import { workspaceView } from '../views.ts';
import { callerOf } from './auth.ts';
import { findWorkspace, mayRead, withProject } from './owners.ts';
import { byAge, listQuery, Next, pageOf } from './paging.ts';
import { errorAnswers, Moment, momentOf, type Route, WorkspaceParams } from './route.ts';
import { strictBody } from './strict-body.ts';
import { ref } from './schemas.ts';

const create: Route = (app, { engine }) => {
  const schema = {
    operationId: 'createWorkspace',
    summary: 'Create a workspace; the answer comes once it is durable',
    body: ref('WorkspaceRequest'),
    response: { 201: ref('Workspace'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(WorkspaceRequest);
  app.post('/v1/workspaces', { schema, validatorCompiler }, async (request, reply) => {
    const workspace = await engine.create(
      callerOf(request).user,
      withProject(callerOf(request), request.body),
    );
    void reply.code(201).header('location', `/v1/workspaces/${workspace.id}`);
    return workspaceView(engine.state, workspace);
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
      owner: Type.Optional(Type.String({ pattern: userPattern, description: "a user's name" })),
      name: Type.Optional(Type.String({ pattern: namePattern, description: "a workspace's name" })),
      since: Type.Optional(Moment),
    }),
    response: { 200: Type.Object({ workspaces: Type.Array(ref('Workspace')), next: Next }), ...errorAnswers },
  };
  app.get('/v1/workspaces', { schema }, async request => {
    const caller = callerOf(request);
    const { state } = engine;
    const { all, state: states, owner, name, since } = request.query;
    const sinceAt = since === undefined ? undefined : momentOf(since, 'since');
    const wanted = [...state.workspaces.values()].filter(
      workspace =>
        mayRead(caller, workspace.owner) &&
        (states ? states.includes(workspace.state) : all === true || workspace.state !== 'ended') &&
        (owner === undefined || workspace.owner === owner) &&
        (name === undefined || workspace.name === name) &&
        (sinceAt === undefined || workspace.createdAt >= sinceAt),
    );
    const { page, next } = pageOf(wanted, ({ createdAt, id }) => byAge(createdAt, id), request.query);
    return { workspaces: page.map(workspace => workspaceView(state, workspace)), next };
  });
};

const show: Route = (app, { engine }) => {
  const schema = {
    operationId: 'getWorkspace',
    summary: 'One workspace with its VMs and its slot',
    params: WorkspaceParams,
    response: { 200: ref('Workspace'), ...errorAnswers },
  };
  app.get('/v1/workspaces/:workspace', { schema }, async request => {
    const { state } = engine;
    return workspaceView(state, findWorkspace(state, callerOf(request), request.params.workspace));
  });
};

const destroy: Route = (app, { engine }) => {
  const schema = {
    operationId: 'destroyWorkspace',
    summary: 'Destroy a workspace; the answer comes once the order is durable',
    params: WorkspaceParams,
    response: { 202: ref('Workspace'), ...errorAnswers },
  };
  app.delete('/v1/workspaces/:workspace', { schema }, async (request, reply) => {
    const caller = callerOf(request);
    const found = findWorkspace(engine.state, caller, request.params.workspace);
    const workspace = await engine.destroy(found.id, caller.user);
    void reply.code(202);
    return workspaceView(engine.state, workspace);
  });
};

/** Workspaces: create, list, look at, destroy. */
export const workspaceRoutes: readonly Route[] = [create, list, show, destroy];
