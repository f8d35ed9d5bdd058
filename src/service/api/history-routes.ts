import Type from 'typebox';
import { timelineOf } from './timeline.ts';
import { Count } from '../../protocol/schema.ts';
import { callerOf, standingOf } from './auth.ts';
import { maxWaitMs, readAll } from './event-feed.ts';
import { EventTypes } from '../../protocol/events.ts';
import { eventStream } from './event-stream.ts';
import { findWorkspace, idOfReadable } from './owners.ts';
import { type Route, WorkspaceParams } from './route.ts';
import { ref } from './schemas.ts';

/** The most events that one answer carries. */
const pageLimit = 1_000;

const timeline: Route = (app, { engine }) => {
  const schema = {
    operationId: 'getTimeline',
    summary: "The lease's breakdown into hops, each with its length",
    params: WorkspaceParams,
    response: { 200: ref('Timeline') },
  };
  app.get('/v1/workspaces/:workspace/timeline', { schema }, async request => {
    const found = await findWorkspace(engine, callerOf(request), request.params.workspace);
    const { id, vmIds } = found.workspace;
    const agents = vmIds.filter(vmId => found.among.vms.get(vmId)?.context !== 'none').length;
    return timelineOf(id, await readAll(engine, { workspaceId: id }), agents);
  });
};

const knownHosts: Route = (app, { engine }) => {
  const schema = {
    operationId: 'getKnownHosts',
    summary: "OpenSSH known_hosts lines of the workspace's VMs, for the host names `<workspaceId>.<vm>`",
    params: WorkspaceParams,
    response: { 200: Type.Object({ lines: Type.Array(Type.String()) }) },
  };
  app.get('/v1/workspaces/:workspace/known-hosts', { schema }, async request => {
    const { workspace } = await findWorkspace(engine, callerOf(request), request.params.workspace);
    return { lines: [...(await engine.knownHosts(workspace.id))] };
  });
};

const events: Route = (app, { engine, callers, feed }) => {
  const schema = {
    operationId: 'listEvents',
    summary: 'History after a number; waits for news up to waitMs when there is none yet',
    querystring: Type.Object({
      after: Type.Optional(Count),
      workspace: Type.Optional(WorkspaceParams.properties.workspace),
      waitMs: Type.Optional(Type.Integer({ minimum: 0, maximum: maxWaitMs })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: pageLimit })),
      type: Type.Optional(EventTypes),
    }),
    response: {
      200: Type.Object({
        events: Type.Array(ref('Event')),
        next: Type.Integer({ description: 'Ask again with after=next.' }),
      }),
    },
  };
  app.get('/v1/events', { schema }, async (request, reply) => {
    const { workspace, type: types, after = 0, waitMs = 0, limit = pageLimit } = request.query;
    const workspaceId = await idOfReadable(engine, callerOf(request), workspace);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const standing = standingOf(request, callers);
    const over = AbortSignal.any([gone.signal, standing.ended]);
    return feed
      .page({ caller: standing.caller, workspaceId, types, after, waitMs, limit }, over)
      .finally(standing.release);
  });
};

/** A workspace's timeline and host keys, and the history as a long poll and as a stream. */
export const historyRoutes: readonly Route[] = [timeline, knownHosts, events, eventStream];
