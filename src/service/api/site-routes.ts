import Type from 'typebox';
import { imageView, nodeViews, ownNodeViews, slotView, typesView } from '../views.ts';
import type { Caller } from '../access/accounts.ts';
import type { ApiParts } from './app.ts';
import { callerOf } from './auth.ts';
import { mayRead, readableIn } from './owners.ts';
import { errorAnswers, type Route } from './route.ts';
import { ref } from './schemas.ts';

const types: Route = (app, { engine, images }) => {
  const schema = {
    operationId: 'listTypes',
    summary: 'What can be leased here, and what is free at this moment',
    response: { 200: ref('Types'), ...errorAnswers },
  };
  app.get('/v1/types', { schema }, async () =>
    typesView(engine.state, images.read().images, await engine.capacity()),
  );
};

const slots: Route = (app, parts) => {
  const schema = {
    operationId: 'listSlots',
    summary: 'The resource slots that are held or asked for',
    response: { 200: Type.Object({ slots: Type.Array(ref('Slot')) }), ...errorAnswers },
  };
  app.get('/v1/slots', { schema }, async request => ({
    slots: liveSlots(parts, callerOf(request)).map(({ slot, workspaces }) =>
      slotView(slot, workspaces, parts.engine.lrmOf(slot.pool), parts.engine.state.settings),
    ),
  }));
};

const nodes: Route = (app, parts) => {
  const schema = {
    operationId: 'listNodes',
    summary: 'The nodes of those slots and what runs on them, and idle static nodes',
    response: { 200: Type.Object({ nodes: Type.Array(ref('Node')) }), ...errorAnswers },
  };
  app.get('/v1/nodes', { schema }, async request => {
    const capacity = await parts.engine.capacity();
    const { state } = parts.engine;
    const held = liveSlots(parts, callerOf(request)).flatMap(({ slot, workspaces }) =>
      nodeViews(state, slot, workspaces),
    );
    return { nodes: [...held, ...ownNodeViews(state, capacity)] };
  });
};

const images: Route = (app, parts) => {
  const schema = {
    operationId: 'listImages',
    summary: 'The images that a VM can be started from',
    response: { 200: Type.Object({ images: Type.Array(ref('Image')) }), ...errorAnswers },
  };
  app.get('/v1/images', { schema }, async () => ({ images: parts.images.read().images.map(imageView) }));
};

const health: Route = (app, { version }) => {
  const schema = {
    operationId: 'getHealth',
    summary: 'Answers when the service does; needs no token',
    security: [],
    response: {
      200: Type.Object({ status: Type.Literal('ok'), version: Type.String() }),
      ...errorAnswers,
    },
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
