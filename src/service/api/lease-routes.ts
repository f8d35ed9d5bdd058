import type { FastifyRequest } from 'fastify';
import type { Workspace } from '../../lease/model.ts';
import { callerOf } from './auth.ts';
import { findOwn, withProject } from './owners.ts';
import { type Route, type RouteParts, WorkspaceParams } from './route.ts';
import { ref } from './schemas.ts';
import { dryRunView, viewOf } from './views.ts';

const dryRun: Route = (app, { engine }) => {
  const schema = {
    operationId: 'tryWorkspace',
    summary: 'Whether this workspace would be accepted now, and what would be asked for; nothing is created',
    body: ref('WorkspaceRequest'),
    response: { 200: ref('DryRun') },
  };
  app.post('/v1/workspaces/dry-run', { schema }, async request => {
    const caller = callerOf(request);
    return dryRunView(await engine.workspaces.tryCreate(caller.user, withProject(caller, request.body)));
  });
};

const add: Route = (app, parts) => {
  const schema = {
    operationId: 'addGroups',
    summary: 'More groups for a pending workspace; the answer comes once they are durable',
    params: WorkspaceParams,
    body: ref('AddRequest'),
    response: { 200: ref('Workspace') },
  };
  app.post('/v1/workspaces/:workspace/groups', { schema }, async request =>
    ordered(parts, request, (id, by) => parts.engine.workspaces.add(id, by, request.body.groups)),
  );
};

const launch: Route = (app, parts) => {
  const schema = {
    operationId: 'launchWorkspace',
    summary: 'Place and deploy a pending workspace as a whole; the answer comes once it is durable',
    params: WorkspaceParams,
    response: { 200: ref('Workspace') },
  };
  app.post('/v1/workspaces/:workspace/launch', { schema }, async request =>
    ordered(parts, request, (id, by) => parts.engine.workspaces.launch(id, by)),
  );
};

const extend: Route = (app, parts) => {
  const schema = {
    operationId: 'extendWorkspace',
    summary: 'Make a running lease longer; the answer comes once it is durable',
    params: WorkspaceParams,
    body: ref('ExtendRequest'),
    response: { 200: ref('Workspace') },
  };
  app.post('/v1/workspaces/:workspace/extend', { schema }, async request =>
    ordered(parts, request, (id, by) => parts.engine.workspaces.extend(id, by, request.body.durationMs)),
  );
};

const operate: Route = (app, parts) => {
  const schema = {
    operationId: 'operateVms',
    summary:
      'Start, shut down, pause, resume, reboot or destroy a VM, a group, or all; the answer comes once the order is durable',
    params: WorkspaceParams,
    body: ref('OperateRequest'),
    response: { 202: ref('Workspace') },
  };
  app.post('/v1/workspaces/:workspace/operations', { schema }, async (request, reply) => {
    void reply.code(202);
    return ordered(parts, request, (id, by) => parts.engine.workspaces.operate(id, by, request.body));
  });
};

/** Gives an order about one of the caller's own workspaces, which is the answer, as it is then. */
async function ordered(
  { engine }: RouteParts,
  request: FastifyRequest & { readonly params: { readonly workspace: string } },
  order: (id: string, by: string) => Promise<Workspace>,
) {
  const caller = callerOf(request);
  const { workspace } = await findOwn(engine, caller, request.params.workspace);
  return viewOf(engine, await order(workspace.id, caller.user));
}

/** A lease before, at and after its launch: try, add to, launch, extend; and what is done to its VMs. */
export const leaseRoutes: readonly Route[] = [dryRun, add, launch, extend, operate];
