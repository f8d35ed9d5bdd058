import Type from 'typebox';
import { ProjectChange, TokenRequest, UserChange, userPattern } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { namePattern } from '../../protocol/ids.ts';
import { callerOf, hasRole } from './auth.ts';
import { errorAnswers, type Route } from './route.ts';
import { ref } from './schemas.ts';
import { strictBody } from './strict-body.ts';

const whoami: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'whoami',
    summary: 'Who asks, and what he may have',
    response: { 200: ref('Whoami'), ...errorAnswers },
  };
  app.get('/v1/whoami', { schema }, async request => {
    const { user, role, scope, projects } = callerOf(request);
    return { user, role, scope, projects: [...projects], quota: accounts.user(user).quota };
  });
};

const users: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listUsers',
    summary: 'The users that the service knows by name; operators and administrators',
    response: { 200: Type.Object({ users: Type.Array(ref('User')) }), ...errorAnswers },
  };
  app.get('/v1/users', { schema, config: { role: 'operator' } }, async () => ({
    users: [...accounts.users()],
  }));
};

const setUser: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'setUser',
    summary: 'Make or change a user: role, projects, quota, disabled; administrators',
    params: Type.Object({ user: Type.String({ pattern: userPattern, description: "a user's name" }) }),
    body: ref('UserChange'),
    response: { 200: ref('User'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(UserChange);
  app.put('/v1/users/:user', { schema, validatorCompiler, config: { role: 'admin' } }, async request => {
    const { user } = request.params;
    const { role, disabled } = request.body;
    const locksOut = (role !== undefined && role !== 'admin') || disabled === true;
    if (user === callerOf(request).user && locksOut)
      throw new WspError('conflict', 'an administrator cannot lock himself out', {
        hint: 'have another one do it',
      });
    return accounts.changeUser(user, request.body);
  });
};

const projects: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listProjects',
    summary: 'The projects with their members; users see their own',
    response: { 200: Type.Object({ projects: Type.Array(ref('Project')) }), ...errorAnswers },
  };
  app.get('/v1/projects', { schema }, async request => {
    const caller = callerOf(request);
    const all = accounts.projects();
    return {
      projects: all.filter(({ name }) => hasRole(caller, 'operator') || caller.projects.includes(name)),
    };
  });
};

const setProject: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'setProject',
    summary: 'Make a project or change its quota; administrators',
    params: Type.Object({ project: Type.String({ pattern: namePattern, description: "a project's name" }) }),
    body: ref('ProjectChange'),
    response: { 200: ref('Project'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(ProjectChange);
  app.put('/v1/projects/:project', { schema, validatorCompiler, config: { role: 'admin' } }, async request =>
    accounts.changeProject(request.params.project, request.body),
  );
};

const tokens: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listTokens',
    summary: "The caller's tokens, without the tokens themselves; administrators with all=true everybody's",
    querystring: Type.Object({ all: Type.Optional(Type.Boolean()) }),
    response: { 200: Type.Object({ tokens: Type.Array(ref('Token')) }), ...errorAnswers },
  };
  app.get('/v1/tokens', { schema }, async request => {
    const caller = callerOf(request);
    const all = request.query.all === true;
    if (all && !hasRole(caller, 'admin'))
      throw new WspError('forbidden', "everybody's tokens are an administrator's business");
    return { tokens: [...accounts.tokensOf(all ? undefined : caller.user)] };
  });
};

const giveToken: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'createToken',
    summary: 'A new token for the caller, or, by administrators, for anybody; it is in this answer alone',
    body: ref('TokenRequest'),
    response: { 201: ref('NewToken'), ...errorAnswers },
  };
  const validatorCompiler = strictBody(TokenRequest);
  app.post('/v1/tokens', { schema, validatorCompiler }, async (request, reply) => {
    const caller = callerOf(request);
    const { user = caller.user } = request.body;
    if (user !== caller.user && !hasRole(caller, 'admin'))
      throw new WspError('forbidden', `a token for ${user} is given by him or by an administrator`);
    void reply.code(201).header('cache-control', 'no-store');
    return accounts.giveToken(user, request.body);
  });
};

const revokeToken: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'revokeToken',
    summary: "Revoke one of the caller's tokens; administrators anybody's",
    params: Type.Object({
      token: Type.String({ pattern: '^tok-[a-z2-7]{10}$', description: "a token's id" }),
    }),
    response: { 200: ref('Token'), ...errorAnswers },
  };
  app.delete('/v1/tokens/:token', { schema }, async request => {
    const caller = callerOf(request);
    const { token } = request.params;
    const owner = accounts.ownerOfToken(token);
    if (owner === undefined || (owner !== caller.user && !hasRole(caller, 'admin')))
      throw new WspError('not_found', `you have no token ${token}`, { hint: 'wsp tokens lists them' });
    return accounts.revokeToken(token);
  });
};

const auditEntries: Route = (app, { audit }) => {
  const schema = {
    operationId: 'listAudit',
    summary: 'Who did what, also who tried to, newest first; operators and administrators',
    querystring: Type.Object({
      before: Type.Optional(
        Type.Integer({ minimum: 1, description: 'the number of a line; only those with smaller ones' }),
      ),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    }),
    response: { 200: Type.Object({ entries: Type.Array(ref('Audit')) }), ...errorAnswers },
  };
  app.get('/v1/audit', { schema, config: { role: 'operator' } }, async request => {
    const { before = Number.MAX_SAFE_INTEGER, limit = 100 } = request.query;
    return { entries: [...(await audit.read({ before, limit }))] };
  });
};

/** Users, projects, tokens, and the log of who did what. */
export const accountRoutes: readonly Route[] = [
  whoami,
  users,
  setUser,
  projects,
  setProject,
  tokens,
  giveToken,
  revokeToken,
  auditEntries,
];
