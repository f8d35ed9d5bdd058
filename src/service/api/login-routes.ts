import type { FastifyRequest } from 'fastify';
import { ClaimRequest, MungeRequest } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { errorAnswers, type Route } from './route.ts';
import type { ApiParts } from './app.ts';
import { ref } from './schemas.ts';
import { strictBody } from './strict-body.ts';
import { formatMoment } from '../../protocol/units.ts';

const ways: Route = (app, { logins }) => {
  const schema = {
    operationId: 'loginWays',
    summary: 'Which logins with no password are taken; open to all',
    security: [],
    response: { 200: ref('LoginWays'), ...errorAnswers },
  };
  app.get('/v1/login', { schema, config: { open: true } }, async () => logins.ways());
};

const begin: Route = (app, { logins }) => {
  const schema = {
    operationId: 'beginFileLogin',
    summary: 'Where to write what, on the host of the service, to show who one is; open to all',
    security: [],
    response: { 201: ref('FileChallenge'), ...errorAnswers },
  };
  app.post('/v1/login/file', { schema, config: { open: true } }, async (_request, reply) => {
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
    response: { 201: ref('Login'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(ClaimRequest);
  app.post(
    '/v1/login/file/claim',
    { schema, validatorCompiler, config: { open: true } },
    async (request, reply) => {
      void reply.code(201).header('cache-control', 'no-store');
      return loggedIn(parts, request, await parts.logins.finish(request.body.claim));
    },
  );
};

const munge: Route = (app, parts) => {
  const schema = {
    operationId: 'mungeLogin',
    summary: 'A token for whoever made the MUNGE credential; open to all',
    security: [],
    body: ref('MungeRequest'),
    response: { 201: ref('Login'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(MungeRequest);
  app.post(
    '/v1/login/munge',
    { schema, validatorCompiler, config: { open: true } },
    async (request, reply) => {
      void reply.code(201).header('cache-control', 'no-store');
      return loggedIn(parts, request, await parts.logins.munge(request.body.credential));
    },
  );
};

function loggedIn({ accounts, sessions }: ApiParts, request: FastifyRequest, user: string) {
  const caller = accounts.callerOfUser(user);
  if (!caller) throw new WspError('unauthorized', `user ${user} is disabled`);
  // For the audit log: from here on it is known who asks.
  request.caller = caller;
  const { token, expiresAt } = sessions.begin(user);
  return { user, token, expiresAt: formatMoment(expiresAt) };
}

/** Logins of Unix users with no password. */
export const loginRoutes: readonly Route[] = [ways, begin, claim, munge];
