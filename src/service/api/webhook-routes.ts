import Type from 'typebox';
import { UserName } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import type { Caller } from '../access/accounts.ts';
import type { Webhooks } from '../notify/webhooks.ts';
import { callerOf, hasRole } from './auth.ts';
import { idOfReadable } from './owners.ts';
import { byAge, listQuery, Next, pageOf } from './paging.ts';
import { type Route } from './route.ts';
import { ref } from './schemas.ts';

const HookParams = Type.Object({
  webhook: Type.String({ pattern: '^hook-[a-z2-7]{10}$', description: "a webhook's id" }),
});

/** One's own; administrators anybody's. Throws `WspError` (`not_found`). */
function ownHook(webhooks: Webhooks, caller: Caller, id: string): string {
  const owner = webhooks.ownerOf(id);
  if (owner !== undefined && (owner === caller.user || hasRole(caller, 'admin'))) return id;
  throw new WspError('not_found', `you have no webhook ${id}`, { hint: 'wsp webhooks lists them' });
}

const list: Route = (app, { webhooks }) => {
  const schema = {
    operationId: 'listWebhooks',
    summary: "The caller's webhooks, and how far each has come; administrators see those of all users",
    querystring: listQuery({ owner: Type.Optional(UserName) }),
    response: { 200: Type.Object({ webhooks: Type.Array(ref('Webhook')), next: Next }) },
  };
  app.get('/v1/webhooks', { schema }, async request => {
    const caller = callerOf(request);
    const wanted = webhooks
      .of(hasRole(caller, 'admin') ? undefined : caller.user)
      .filter(({ owner }) => (request.query.owner ?? owner) === owner);
    const { page, next } = pageOf(wanted, ({ createdAt, id }) => `${createdAt} ${id}`, request.query);
    return { webhooks: page, next };
  });
};

const create: Route = (app, { webhooks, engine }) => {
  const schema = {
    operationId: 'createWebhook',
    summary: 'Have events posted to a URL, signed; the secret is in this answer alone',
    body: ref('WebhookRequest'),
    response: { 201: ref('NewWebhook') },
  };
  app.post('/v1/webhooks', { schema }, async (request, reply) => {
    const caller = callerOf(request);
    const workspaceId = await idOfReadable(engine, caller, request.body.workspace);
    void reply.code(201).header('cache-control', 'no-store');
    return webhooks.create(caller.user, workspaceId ?? null, request.body);
  });
};

const remove: Route = (app, { webhooks }) => {
  const schema = {
    operationId: 'deleteWebhook',
    summary: 'Remove a webhook: no more events are posted to its URL',
    params: HookParams,
    response: { 204: Type.Null() },
  };
  app.delete('/v1/webhooks/:webhook', { schema }, async (request, reply) => {
    await webhooks.remove(ownHook(webhooks, callerOf(request), request.params.webhook));
    void reply.code(204);
    return null;
  });
};

const resume: Route = (app, { webhooks }) => {
  const schema = {
    operationId: 'resumeWebhook',
    summary: 'Start a webhook that has stopped again, where it was',
    params: HookParams,
    response: { 200: ref('Webhook') },
  };
  app.post('/v1/webhooks/:webhook/resume', { schema }, async request =>
    webhooks.resume(ownHook(webhooks, callerOf(request), request.params.webhook)),
  );
};

const deadLetters: Route = (app, { webhooks }) => {
  const schema = {
    operationId: 'listDeadLetters',
    summary: 'The events that could not be delivered, and why',
    params: HookParams,
    querystring: listQuery({}),
    response: { 200: Type.Object({ deadLetters: Type.Array(ref('DeadLetter')), next: Next }) },
  };
  app.get('/v1/webhooks/:webhook/dead-letters', { schema }, async request => {
    const all = webhooks.deadLetters(ownHook(webhooks, callerOf(request), request.params.webhook));
    const { page, next } = pageOf(all, ({ event }) => byAge(event, ''), request.query);
    return { deadLetters: page, next };
  });
};

/** Events posted to where users want them. */
export const webhookRoutes: readonly Route[] = [list, create, remove, resume, deadLetters];
