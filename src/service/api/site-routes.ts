import Type from 'typebox';
import { imageView, nodeViews, ownNodeViews, slotView, typesView } from './views.ts';
import { literals } from '../../protocol/schema.ts';
import { slotStates } from '../../protocol/states.ts';
import type { Caller } from '../access/accounts.ts';
import type { ApiParts } from './parts.ts';
import { callerOf } from './auth.ts';
import { mayRead, readableIn } from './owners.ts';
import { byAge, listQuery, Next, pageOf } from './paging.ts';
import { nameOf, type Route } from './route.ts';
import { ref } from './schemas.ts';

const types: Route = (app, { engine, images }) => {
  const schema = {
    operationId: 'listTypes',
    summary: 'What can be leased here, and what is free at this moment',
    response: { 200: ref('Types') },
  };
  app.get('/v1/types', { schema }, async () =>
    typesView(engine.state, images.read().images, await engine.capacity()),
  );
};

const slots: Route = (app, parts) => {
  const schema = {
    operationId: 'listSlots',
    summary: 'The resource slots that are held or asked for',
    querystring: listQuery({
      state: Type.Optional(Type.Array(literals(slotStates), { maxItems: 16 })),
      pool: Type.Optional(nameOf('pool')),
    }),
    response: { 200: Type.Object({ slots: Type.Array(ref('Slot')), next: Next }) },
  };
  app.get('/v1/slots', { schema }, async request => {
    const { state, pool } = request.query;
    const wanted = liveSlots(parts, callerOf(request)).filter(
      ({ slot }) => (state?.includes(slot.state) ?? true) && (pool === undefined || slot.pool === pool),
    );
    const { page, next } = pageOf(wanted, ({ slot }) => byAge(slot.createdAt, slot.id), request.query);
    const { engine } = parts;
    const view = ({ slot, workspaces }: (typeof page)[number]) =>
      slotView(slot, workspaces, engine.lrmOf(slot.pool), engine.state.settings);
    return { slots: page.map(view), next };
  });
};

const nodes: Route = (app, parts) => {
  const schema = {
    operationId: 'listNodes',
    summary: 'The nodes of those slots and what runs on them, and idle static nodes',
    querystring: listQuery({ pool: Type.Optional(nameOf('pool')) }),
    response: { 200: Type.Object({ nodes: Type.Array(ref('Node')), next: Next }) },
  };
  app.get('/v1/nodes', { schema }, async request => {
    const capacity = await parts.engine.capacity();
    const { state } = parts.engine;
    const held = liveSlots(parts, callerOf(request)).flatMap(({ slot, workspaces }) =>
      nodeViews(state, slot, workspaces),
    );
    const { pool } = request.query;
    const wanted = [...held, ...ownNodeViews(state, capacity)].filter(
      node => pool === undefined || node.pool === pool,
    );
    const { page, next } = pageOf(
      wanted,
      node => `${node.pool} ${node.name} ${node.slot ?? ''}`,
      request.query,
    );
    return { nodes: page, next };
  });
};

const images: Route = (app, parts) => {
  const schema = {
    operationId: 'listImages',
    summary: 'The images that a VM can be started from',
    querystring: listQuery({}),
    response: { 200: Type.Object({ images: Type.Array(ref('Image')), next: Next }) },
  };
  app.get('/v1/images', { schema }, async request => {
    const views = parts.images.read().images.map(imageView);
    const { page, next } = pageOf(views, ({ name }) => name, request.query);
    return { images: page, next };
  });
};

const health: Route = (app, { version }) => {
  const schema = {
    operationId: 'getHealth',
    summary: 'Whether the service answers; needs no token',
    security: [],
    response: { 200: Type.Object({ status: Type.Literal('ok'), version: Type.String() }) },
  };
  app.get('/v1/health', { schema, config: { open: true } }, async () => ({ status: 'ok' as const, version }));
};

const document: Route = app => {
  app.get('/openapi.json', { schema: { hide: true }, config: { open: true } }, async () => app.swagger());
};

function liveSlots({ engine }: ApiParts, caller: Caller) {
  const { state } = engine;
  return [...state.slots.values()]
    .filter(slot => slot.endedAt === null)
    .map(slot => ({ slot, workspaces: readableIn(state, caller, slot) }))
    .filter(({ slot, workspaces }) => workspaces.length > 0 || mayRead(caller, slot.owner ?? undefined));
}

/** What the site has: types, slots, nodes, images; and whether the service is there at all. */
export const siteRoutes: readonly Route[] = [types, slots, nodes, images, health, document];
