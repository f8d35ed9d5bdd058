import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type, { type TSchema } from 'typebox';
import { namePattern, workspaceIdPattern } from '../../protocol/ids.ts';
import { WorkspaceRequest } from '../../protocol/cluster.ts';
import { checkedRequest } from '../../protocol/document.ts';
import { timelineOf } from '../timeline.ts';
import { imageView, nodeViews, slotView, workspaceView } from '../views.ts';
import type { ApiParts } from './app.ts';
import { maxWaitMs, type EventFeed } from './event-feed.ts';
import { findWorkspace, mayRead } from './owners.ts';
import { ref } from './schemas.ts';
import { userOf } from './auth.ts';

/** The most events that one answer carries. */
const pageLimit = 1_000;

const WorkspaceParams = Type.Object({
  workspace: Type.String({
    pattern: `${workspaceIdPattern}|${namePattern}`,
    description: 'Id or name; a name means its newest workspace.',
  }),
});
const errors = { '4xx': ref('Error'), '5xx': ref('Error') };

/** Workspaces: create, list, look at, destroy. */
export function workspaceRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const { engine } = parts;
  return async app => {
    app.post(
      '/v1/workspaces',
      {
        schema: {
          operationId: 'createWorkspace',
          summary: 'Create a workspace; the answer comes once it is durable',
          body: ref('WorkspaceRequest'),
          response: { 201: ref('Workspace'), ...errors },
        },
        validatorCompiler: () => strictly(WorkspaceRequest),
      },
      async (request, reply) => {
        const workspace = await engine.create(userOf(request), request.body);
        void reply.code(201).header('location', `/v1/workspaces/${workspace.id}`);
        return workspaceView(engine.state, workspace);
      },
    );

    app.get(
      '/v1/workspaces',
      {
        schema: {
          operationId: 'listWorkspaces',
          summary: 'The live workspaces, oldest first; with all=true the ended ones too',
          querystring: Type.Object({ all: Type.Optional(Type.Boolean()) }),
          response: { 200: Type.Object({ workspaces: Type.Array(ref('Workspace')) }), ...errors },
        },
      },
      async request => {
        const user = userOf(request);
        const { state } = engine;
        const workspaces = [...state.workspaces.values()]
          .filter(workspace => mayRead(user, workspace.owner))
          .filter(workspace => request.query.all === true || workspace.state !== 'ended')
          .sort((one, other) => one.createdAt - other.createdAt)
          .map(workspace => workspaceView(state, workspace));
        return { workspaces };
      },
    );

    app.get(
      '/v1/workspaces/:workspace',
      {
        schema: {
          operationId: 'getWorkspace',
          summary: 'One workspace with its VMs and its slot',
          params: WorkspaceParams,
          response: { 200: ref('Workspace'), ...errors },
        },
      },
      async request =>
        workspaceView(engine.state, findWorkspace(engine.state, userOf(request), request.params.workspace)),
    );

    app.delete(
      '/v1/workspaces/:workspace',
      {
        schema: {
          operationId: 'destroyWorkspace',
          summary: 'Destroy a workspace; the answer comes once the order is durable',
          params: WorkspaceParams,
          response: { 202: ref('Workspace'), ...errors },
        },
      },
      async (request, reply) => {
        const user = userOf(request);
        const found = findWorkspace(engine.state, user, request.params.workspace);
        const workspace = await engine.destroy(found.id, user);
        void reply.code(202);
        return workspaceView(engine.state, workspace);
      },
    );
  };
}

/** What happened: the timeline of one workspace, its VMs' host keys, and the history as a long poll. */
export function historyRoutes(parts: ApiParts, feed: EventFeed): FastifyPluginAsyncTypebox {
  const { engine } = parts;
  return async app => {
    app.get(
      '/v1/workspaces/:workspace/timeline',
      {
        schema: {
          operationId: 'getTimeline',
          summary: "The lease's breakdown into hops, each with its length",
          params: WorkspaceParams,
          response: { 200: ref('Timeline'), ...errors },
        },
      },
      async request => {
        const { id, vmIds } = findWorkspace(engine.state, userOf(request), request.params.workspace);
        const agents = vmIds.filter(vmId => engine.state.vms.get(vmId)?.context !== 'none').length;
        return timelineOf(id, await feed.all(id), agents);
      },
    );

    app.get(
      '/v1/workspaces/:workspace/known-hosts',
      {
        schema: {
          operationId: 'getKnownHosts',
          summary:
            "OpenSSH known_hosts lines of the workspace's VMs, for the host names `<workspaceId>.<vm>`",
          params: WorkspaceParams,
          response: { 200: Type.Object({ lines: Type.Array(Type.String()) }), ...errors },
        },
      },
      async request => {
        const { id } = findWorkspace(engine.state, userOf(request), request.params.workspace);
        return { lines: [...(await engine.knownHosts(id))] };
      },
    );

    app.get(
      '/v1/events',
      {
        schema: {
          operationId: 'listEvents',
          summary: 'History after a number; waits for news up to waitMs when there is none yet',
          querystring: Type.Object({
            after: Type.Optional(Type.Integer({ minimum: 0 })),
            workspace: Type.Optional(WorkspaceParams.properties.workspace),
            waitMs: Type.Optional(Type.Integer({ minimum: 0, maximum: maxWaitMs })),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: pageLimit })),
          }),
          response: {
            200: Type.Object({
              events: Type.Array(ref('Event')),
              next: Type.Integer({ description: 'Ask again with after=next.' }),
            }),
            ...errors,
          },
        },
      },
      async (request, reply) => {
        const user = userOf(request);
        const { workspace, after = 0, waitMs = 0, limit = pageLimit } = request.query;
        const only = workspace === undefined ? undefined : findWorkspace(engine.state, user, workspace).id;
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        return feed.page({ user, workspaceId: only, after, waitMs, limit }, gone.signal);
      },
    );
  };
}

/** What the site has: slots, nodes, images; and whether the service is there at all. */
export function siteRoutes(parts: ApiParts): FastifyPluginAsyncTypebox {
  const { engine } = parts;
  return async app => {
    app.get(
      '/v1/slots',
      {
        schema: {
          operationId: 'listSlots',
          summary: 'The resource slots that are held or asked for',
          response: { 200: Type.Object({ slots: Type.Array(ref('Slot')) }), ...errors },
        },
      },
      async request => ({
        slots: liveSlots(parts, userOf(request)).map(slot => slotView(slot, parts.lrmKind)),
      }),
    );

    app.get(
      '/v1/nodes',
      {
        schema: {
          operationId: 'listNodes',
          summary: 'The nodes of those slots, and what runs on them',
          response: { 200: Type.Object({ nodes: Type.Array(ref('Node')) }), ...errors },
        },
      },
      async request => ({
        nodes: liveSlots(parts, userOf(request)).flatMap(slot => nodeViews(engine.state, slot)),
      }),
    );

    app.get(
      '/v1/images',
      {
        schema: {
          operationId: 'listImages',
          summary: 'The images that a VM can be started from',
          response: { 200: Type.Object({ images: Type.Array(ref('Image')) }), ...errors },
        },
      },
      async () => ({ images: parts.images.read().images.map(imageView) }),
    );

    app.get(
      '/v1/health',
      {
        schema: {
          operationId: 'getHealth',
          summary: 'Answers when the service does; needs no token',
          security: [],
          response: {
            200: Type.Object({ status: Type.Literal('ok'), version: Type.String() }),
            ...errors,
          },
        },
        config: { open: true },
      },
      async () => ({ status: 'ok' as const, version: parts.version }),
    );

    app.get('/openapi.json', { schema: { hide: true }, config: { open: true } }, async () => app.swagger());
  };
}

function liveSlots({ engine }: ApiParts, user: string) {
  const { slots, workspaces } = engine.state;
  return [...slots.values()].filter(
    slot => slot.endedAt === null && mayRead(user, workspaces.get(slot.workspaceId)?.owner),
  );
}

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
