import type { FastifyReply, FastifyRequest } from 'fastify';
import { WspError } from '../../protocol/errors.ts';
import { addressOf } from './auth.ts';
import type { Route, RouteParts } from './route.ts';
import { ref } from './schemas.ts';

const ways: Route = (app, { logins }) => {
  const schema = {
    operationId: 'loginWays',
    summary: 'Which logins without a password the service takes; open to all',
    security: [],
    response: { 200: ref('LoginWays') },
  };
  app.get('/v1/login', { schema, config: { open: true } }, async () => logins.ways());
};

const begin: Route = (app, { logins }) => {
  const schema = {
    operationId: 'beginFileLogin',
    summary: 'Which file to write on the host of the service, to show who one is; open to all',
    security: [],
    response: { 201: ref('FileChallenge') },
  };
  // A question: what is done is the claim.
  app.post('/v1/login/file', { schema, config: { open: true, carrier: true } }, async (_request, reply) => {
    void reply.code(201).header('cache-control', 'no-store');
    return logins.begin();
  });
};

const claim: Route = (app, parts) => {
  const schema = {
    operationId: 'claimFileLogin',
    summary: 'A token for whoever wrote the file, once it is written; open to all',
    security: [],
    body: ref('ClaimRequest'),
    response: { 201: ref('Login') },
  };
  app.post('/v1/login/file/claim', { schema, config: { open: true } }, async (request, reply) =>
    logIn(parts, request, reply, parts.logins.finish(request.body.claim)),
  );
};

const munge: Route = (app, parts) => {
  const schema = {
    operationId: 'mungeLogin',
    summary: 'A token for whoever made the MUNGE credential; open to all',
    security: [],
    body: ref('MungeRequest'),
    response: { 201: ref('Login') },
  };
  app.post('/v1/login/munge', { schema, config: { open: true } }, async (request, reply) => {
    const { credential } = request.body;
    return logIn(parts, request, reply, parts.logins.munge(credential, addressOf(request) ?? 'socket'));
  });
};

async function logIn(
  { accounts, sessions, limits }: RouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
  who: Promise<string>,
) {
  void reply.code(201).header('cache-control', 'no-store');
  const user = await who.catch((cause: unknown) => {
    limits.loginFailed(request, reply);
    throw cause;
  });
  limits.loggedIn(user, reply);
  const caller = accounts.callerOfUser(user);
  if (!caller) throw new WspError('unauthorized', `user ${user} is disabled`);
  // For the audit log: from here on it is known who asks.
  request.caller = caller;
  const { token, expiresAt } = sessions.begin(user);
  return { user, token, expiresAt: new Date(expiresAt).toISOString() };
}

/** Logins of Unix users with no password. */
export const loginRoutes: readonly Route[] = [ways, begin, claim, munge];
