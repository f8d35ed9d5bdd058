import { isUtf8 } from 'node:buffer';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import websocket from '@fastify/websocket';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Clock } from '../../platform/clock.ts';
import { WspError } from '../../protocol/errors.ts';
import { excessIn } from '../../protocol/json.ts';
import { accountRoutes } from './account-routes.ts';
import { agentRoutes } from './node/agent-socket.ts';
import { keepAudit } from './audit-hook.ts';
import { requireTokens } from './auth.ts';
import { about, answerErrors } from './errors.ts';
import { eventFeed, maxWaitMs } from './event-feed.ts';
import { historyRoutes } from './history-routes.ts';
import { leaseRoutes } from './lease-routes.ts';
import { loginRoutes } from './login-routes.ts';
import { openApiDocument } from './openapi.ts';
import type { ApiParts } from './parts.ts';
import { refuseUnknownParameters } from './paging.ts';
import { pilotHttpRoutes } from './node/pilot-http.ts';
import { pilotRoutes } from './node/pilot-socket.ts';
import { addComponents } from './schemas.ts';
import { rateLimits } from './rate-limit.ts';
import { siteRoutes } from './site-routes.ts';
import { clientStreamRoutes } from './streams.ts';
import { refuseBeforeRoutes, refuseUnparsed, refuseUnrouted } from './unrouted.ts';
import { usageRoute } from './usage-routes.ts';
import { webhookRoutes } from './webhook-routes.ts';
import { workspaceRoutes } from './workspace-routes.ts';

const bodyLimitBytes = 1024 * 1024;
/** A pilot's largest message: a hello with 256 VMs, each with a reason. */
const messageLimitBytes = 2 * 1024 * 1024;
/** The longest that a request may take to arrive, and the longest that its handler may take: a long poll and some air. */
const requestTimeoutMs = 15_000;
const handlerTimeoutMs = maxWaitMs + 15_000;

const stopGraceMs = 1_000;

const routes = [
  ...workspaceRoutes,
  ...leaseRoutes,
  ...historyRoutes,
  ...siteRoutes,
  ...accountRoutes,
  ...loginRoutes,
  usageRoute,
  ...webhookRoutes,
];

/** The service's HTTP face: clients' routes, pilots' WebSockets, byte streams. Does not listen yet. */
export async function buildApp(parts: ApiParts): Promise<FastifyInstance> {
  const app = newApp(parts);
  // Answers are built by views.ts and checked by the compiler; a schema-driven serializer would only drop what it does not know.
  app.setSerializerCompiler(() => data => JSON.stringify(data));
  await app.register(swagger, openApiDocument(parts.version));
  await app.register(websocket, { options: { maxPayload: messageLimitBytes, perMessageDeflate: false } });
  addComponents(app);
  refuseBeforeRoutes(app);
  answerErrors(app, parts.log);
  takeUtf8Alone(app);
  app.addHook('onRequest', () => parts.ready ?? Promise.resolve());
  const limits = rateLimits(app, parts.clock, parts.rate);
  requireTokens(app, parts.callers, limits.guessed);
  limits.limitCallers();
  keepAudit(app, parts);
  refuseUnknownParameters(app);
  app.addHook('onResponse', async (request, reply) => {
    const fields = { ...about(request), status: reply.statusCode, durationMs: Math.round(reply.elapsedTime) };
    parts.log.debug('answered', fields);
  });

  const feed = eventFeed(parts.engine, parts.clock);
  app.addHook('preClose', async () => feed.close());
  cutStragglers(app, parts.clock);
  for (const route of routes) route(app, { ...parts, feed, limits });
  await app.register(pilotRoutes(parts));
  await app.register(pilotHttpRoutes(parts));
  await app.register(agentRoutes(parts));
  await app.register(clientStreamRoutes(parts));
  await app.ready();
  return app;
}

/** A server with our limits, whose own refusals have the shape of ours. */
function newApp({ tls }: Pick<ApiParts, 'tls'>) {
  return Fastify({
    ...(tls ? { https: { ...tls, requireHostHeader: false } } : { http: { requireHostHeader: false } }),
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    handlerTimeout: handlerTimeoutMs,
    forceCloseConnections: 'idle',
    frameworkErrors: refuseUnrouted,
    clientErrorHandler: refuseUnparsed,
    // For paths and query strings; bodies are checked by protocol/document.ts.
    ajv: { customOptions: { removeAdditional: false, allErrors: true, verbose: true } },
  }).withTypeProvider<TypeBoxTypeProvider>();
}

/** JSON is UTF-8 (RFC 8259 §8.1): of odd bytes in another encoding nothing would be left. */
function takeUtf8Alone(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (!isUtf8(body as Buffer)) {
      const hint = 'other bytes go into userData as {"base64": "…"}';
      return done(new WspError('invalid_request', 'the body is not UTF-8', { hint }));
    }
    const text = body.toString('utf8');
    const excess = excessIn(text);
    if (excess === undefined) return void parse(request, text, done);
    done(new WspError('invalid_request', `the request body cannot be accepted: ${excess}`));
  });
}

/**
 * At a stop, requests in hand get a moment to end. Then every connection is cut: one that has never asked anything does not count as idle, and
 * a stream whose other end does not read never hears that it should close.
 */
function cutStragglers(app: FastifyInstance, clock: Clock): void {
  let stopTimer = (): void => undefined;
  app.addHook('preClose', async () => {
    stopTimer = clock.after(stopGraceMs, () => {
      app.server.closeAllConnections();
      for (const socket of app.websocketServer.clients) socket.terminate();
    });
  });
  app.addHook('onClose', async () => stopTimer());
}
