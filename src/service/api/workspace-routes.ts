import Type, { type TSchema } from 'typebox';
import { ExtendRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import { checkedRequest } from '../../protocol/document.ts';
import { workspaceView } from '../views.ts';
import { userOf } from './auth.ts';
import { findWorkspace, mayRead } from './owners.ts';
import { errorAnswers, type Route, WorkspaceParams } from './route.ts';
import { ref } from './schemas.ts';

const create: Route = (app, { engine }) => {
  const schema = {
    operationId: 'createWorkspace',
    summary: 'Create a workspace; the answer comes once it is durable',
    body: ref('WorkspaceRequest'),
    response: { 201: ref('Workspace'), ...errorAnswers },
  };
  const validatorCompiler = () => strictly(WorkspaceRequest);
  app.post('/v1/workspaces', { schema, validatorCompiler }, async (request, reply) => {
    const workspace = await engine.create(userOf(request), request.body);
    void reply.code(201).header('location', `/v1/workspaces/${workspace.id}`);
    return workspaceView(engine.state, workspace);
  });
};

const list: Route = (app, { engine }) => {
  const schema = {
    operationId: 'listWorkspaces',
    summary: 'The live workspaces, oldest first; with all=true the ended ones too',
    querystring: Type.Object({ all: Type.Optional(Type.Boolean()) }),
    response: { 200: Type.Object({ workspaces: Type.Array(ref('Workspace')) }), ...errorAnswers },
  };
  app.get('/v1/workspaces', { schema }, async request => {
    const user = userOf(request);
    const { state } = engine;
    const workspaces = [...state.workspaces.values()]
      .filter(workspace => mayRead(user, workspace.owner))
      .filter(workspace => request.query.all === true || workspace.state !== 'ended')
      .sort((one, other) => one.createdAt - other.createdAt)
      .map(workspace => workspaceView(state, workspace));
    return { workspaces };
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
    return workspaceView(state, findWorkspace(state, userOf(request), request.params.workspace));
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
    const user = userOf(request);
    const found = findWorkspace(engine.state, user, request.params.workspace);
    const workspace = await engine.destroy(found.id, user);
    void reply.code(202);
    return workspaceView(engine.state, workspace);
  });
};

const extend: Route = (app, { engine }) => {
  const schema = {
    operationId: 'extendWorkspace',
    summary: 'Make a running lease longer; the answer comes once it is durable',
    params: WorkspaceParams,
    body: ref('ExtendRequest'),
    response: { 200: ref('Workspace'), ...errorAnswers },
  };
  const validatorCompiler = ({ httpPart }: { httpPart?: string }) =>
    httpPart === 'body' ? strictly(ExtendRequest) : () => true;
  app.post('/v1/workspaces/:workspace/extend', { schema, validatorCompiler }, async request => {
    const user = userOf(request);
    const found = findWorkspace(engine.state, user, request.params.workspace);
    const workspace = await engine.extend(found.id, user, request.body.durationMs);
    return workspaceView(engine.state, workspace);
  });
};

/** Bodies are taken as they are written: no number in quotes, no unknown key, and the same words for a mistake as in a cluster file. */
function strictly(schema: TSchema) {
  return (body: unknown) => {
    try {
      return { value: checkedRequest(schema, body) };
    } catch (error) {
      return { error: error as Error };
    }
  };
}

/** Workspaces: create, list, look at, destroy. */
export const workspaceRoutes: readonly Route[] = [create, list, show, extend, destroy];
