import Type from 'typebox';
import { UserName } from '../../protocol/access.ts';
import { WspError } from '../../protocol/errors.ts';
import { Count } from '../../protocol/schema.ts';
import { bearerOf, callerOf, hasRole } from './auth.ts';
import { listQuery, Next, pageOf } from './paging.ts';
import { Moment, momentOf, nameOf, type Route } from './route.ts';
import { ref } from './schemas.ts';

const whoami: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'whoami',
    summary: 'Who asks, and what they may have',
    response: { 200: ref('Whoami') },
  };
  app.get('/v1/whoami', { schema }, async request => {
    const { user, role, scope, projects } = callerOf(request);
    return { user, role, scope, projects: [...projects], quota: accounts.user(user).quota };
  });
};

const users: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listUsers',
    summary: 'The users that the service knows; for operators and administrators',
    querystring: listQuery({ name: Type.Optional(UserName) }),
    response: { 200: Type.Object({ users: Type.Array(ref('User')), next: Next }) },
  };
  app.get('/v1/users', { schema, config: { role: 'operator' } }, async request => {
    const wanted = accounts.users().filter(user => (request.query.name ?? user.name) === user.name);
    const { page, next } = pageOf(wanted, ({ name }) => name, request.query);
    return { users: page, next };
  });
};

const setUser: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'setUser',
    summary: 'Make or change a user: role, projects, quota, disabled; for administrators',
    params: Type.Object({ user: UserName }),
    body: ref('UserChange'),
    response: { 200: ref('User') },
  };
  app.put('/v1/users/:user', { schema, config: { role: 'admin' } }, async request => {
    const { user } = request.params;
    const { role, disabled } = request.body;
    const locksOut = (role !== undefined && role !== 'admin') || disabled === true;
    if (user === callerOf(request).user && locksOut)
      throw new WspError(
        'conflict',
        'administrators cannot disable their own account or give up their own role',
        { hint: 'ask another administrator to do it' },
      );
    return accounts.changeUser(user, request.body);
  });
};

const projects: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listProjects',
    summary: 'The projects with their members; users see their own',
    querystring: listQuery({ name: Type.Optional(nameOf('project')) }),
    response: { 200: Type.Object({ projects: Type.Array(ref('Project')), next: Next }) },
  };
  app.get('/v1/projects', { schema }, async request => {
    const caller = callerOf(request);
    const wanted = accounts
      .projects()
      .filter(({ name }) => hasRole(caller, 'operator') || caller.projects.includes(name))
      .filter(({ name }) => (request.query.name ?? name) === name);
    const { page, next } = pageOf(wanted, ({ name }) => name, request.query);
    return { projects: page, next };
  });
};

const setProject: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'setProject',
    summary: 'Make a project or change its quota; for administrators',
    params: Type.Object({ project: nameOf('project') }),
    body: ref('ProjectChange'),
    response: { 200: ref('Project') },
  };
  app.put('/v1/projects/:project', { schema, config: { role: 'admin' } }, async request =>
    accounts.changeProject(request.params.project, request.body),
  );
};

const tokens: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'listTokens',
    summary:
      "The caller's tokens, without the tokens themselves; administrators see those of all users with all=true",
    querystring: listQuery({ all: Type.Optional(Type.Boolean()), user: Type.Optional(UserName) }),
    response: { 200: Type.Object({ tokens: Type.Array(ref('Token')), next: Next }) },
  };
  app.get('/v1/tokens', { schema }, async request => {
    const caller = callerOf(request);
    const all = request.query.all === true;
    if (all && !hasRole(caller, 'admin'))
      throw new WspError('forbidden', 'only administrators can list the tokens of all users');
    const wanted = accounts
      .tokensOf(all ? undefined : caller.user)
      .filter(({ user }) => (request.query.user ?? user) === user);
    const { page, next } = pageOf(wanted, ({ createdAt, id }) => `${createdAt} ${id}`, request.query);
    return { tokens: page, next };
  });
};

const giveToken: Route = (app, { accounts, callers }) => {
  const schema = {
    operationId: 'createToken',
    summary: 'A new token for the caller, or, by administrators, for anybody; it is in this answer alone',
    body: ref('TokenRequest'),
    response: { 201: ref('NewToken') },
  };
  app.post('/v1/tokens', { schema }, async (request, reply) => {
    const caller = callerOf(request);
    const { user = caller.user } = request.body;
    if (user !== caller.user && !hasRole(caller, 'admin'))
      throw new WspError('forbidden', `only ${user} or an administrator can make a token for ${user}`);
    void reply.code(201).header('cache-control', 'no-store');
    const latestEnd = callers.latestEnd(bearerOf(request) ?? '');
    return accounts.giveToken(user, request.body, { tokenId: caller.tokenId, latestEnd });
  });
};

const revokeToken: Route = (app, { accounts }) => {
  const schema = {
    operationId: 'revokeToken',
    summary: "Revoke one of the caller's tokens; administrators can revoke those of all users",
    params: Type.Object({
      token: Type.String({ pattern: '^tok-[a-z2-7]{10}$', description: "a token's id" }),
    }),
    response: { 200: ref('Token') },
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
    summary: 'Who did what, also who tried to, newest first; for operators and administrators',
    querystring: Type.Object({
      before: Type.Optional(
        Type.Integer({
          ...Count,
          minimum: 1,
          description: 'the number of a line; only those with smaller ones',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 1_000,
          description: 'a number of lines from 1 to 1000; 100 by default',
        }),
      ),
      user: Type.Optional(UserName),
      since: Type.Optional(Moment),
    }),
    response: {
      200: Type.Object({
        entries: Type.Array(ref('Audit')),
        next: Type.Union([Type.Integer(), Type.Null()], {
          description: 'ask again with before=next; null: this was the last page',
        }),
      }),
    },
  };
  app.get('/v1/audit', { schema, config: { role: 'operator' } }, async request => {
    const { before = Number.MAX_SAFE_INTEGER, limit = 100, user, since } = request.query;
    const filters = {
      ...(user === undefined ? {} : { user }),
      ...(since === undefined ? {} : { sinceAt: momentOf(since, 'since') }),
    };
    // One more, to know whether there is a next page.
    const found = await audit.read({ before, limit: limit + 1, ...filters });
    const entries = found.slice(0, limit);
    return { entries, next: found.length > limit ? (entries.at(-1)?.seq ?? null) : null };
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
