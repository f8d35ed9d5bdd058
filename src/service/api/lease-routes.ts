import { AddRequest, ExtendRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import { dryRunView, viewOf } from './views.ts';
import { callerOf } from './auth.ts';
import { findOwn, withProject } from './owners.ts';
import { errorAnswers, type Route, WorkspaceParams } from './route.ts';
import { ref } from './schemas.ts';
import { strictBody } from './strict-body.ts';

const dryRun: Route = (app, { engine }) => {
  const schema = {
    operationId: 'tryWorkspace',
    summary: 'Whether this workspace would be accepted now, and what would be asked for; nothing is created',
    body: ref('WorkspaceRequest'),
    response: { 200: ref('DryRun'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(WorkspaceRequest);
  app.post('/v1/workspaces/dry-run', { schema, validatorCompiler }, async request =>
    dryRunView(
      await engine.workspaces.tryCreate(callerOf(request).user, withProject(callerOf(request), request.body)),
    ),
  );
};

const add: Route = (app, { engine }) => {
  const schema = {
    operationId: 'addGroups',
    summary: 'More groups for a pending workspace; the answer comes once they are durable',
    params: WorkspaceParams,
    body: ref('AddRequest'),
    response: { 200: ref('Workspace'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(AddRequest);
  app.post('/v1/workspaces/:workspace/groups', { schema, validatorCompiler }, async request => {
    const caller = callerOf(request);
    const { workspace } = await findOwn(engine, caller, request.params.workspace);
    return viewOf(engine, await engine.workspaces.add(workspace.id, caller.user, request.body.groups));
  });
};

const launch: Route = (app, { engine }) => {
  const schema = {
    operationId: 'launchWorkspace',
    summary: 'Place and deploy a pending workspace as a whole; the answer comes once it is durable',
    params: WorkspaceParams,
    response: { 200: ref('Workspace'), ...errorAnswers },
  };
  app.post('/v1/workspaces/:workspace/launch', { schema }, async request => {
    const caller = callerOf(request);
    const { workspace } = await findOwn(engine, caller, request.params.workspace);
    return viewOf(engine, await engine.workspaces.launch(workspace.id, caller.user));
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
  const validatorCompiler = strictBody(ExtendRequest);
  app.post('/v1/workspaces/:workspace/extend', { schema, validatorCompiler }, async request => {
    const caller = callerOf(request);
    const { workspace } = await findOwn(engine, caller, request.params.workspace);
    return viewOf(engine, await engine.workspaces.extend(workspace.id, caller.user, request.body.durationMs));
  });
};

const operate: Route = (app, { engine }) => {
  const schema = {
    operationId: 'operateVms',
    summary:
      'Start, shut down, pause, resume, reboot or destroy a VM, a group, or all; the answer comes once the order is durable',
    params: WorkspaceParams,
    body: ref('OperateRequest'),
    response: { 202: ref('Workspace'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(OperateRequest);
  app.post('/v1/workspaces/:workspace/operations', { schema, validatorCompiler }, async (request, reply) => {
    const caller = callerOf(request);
    const { workspace } = await findOwn(engine, caller, request.params.workspace);
    void reply.code(202);
    return viewOf(engine, await engine.workspaces.operate(workspace.id, caller.user, request.body));
  });
};

/** A lease before, at and after its launch: try, add to, launch, extend; and what is done to its VMs. */
export const leaseRoutes: readonly Route[] = [dryRun, add, launch, extend, operate];
