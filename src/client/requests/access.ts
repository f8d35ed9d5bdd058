import type { ProjectChange, TokenRequest, UserChange } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** Who may do what. */
export function accessRequests({ api, ask }: Asker) {
  return {
    whoami: () => ask(signal => api.GET('/v1/whoami', { signal })),
    listUsers: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { users, next } = await ask(signal => api.GET('/v1/users', { params: { query }, signal }));
        return { entries: users, next };
      }),
    setUser: (user: string, body: UserChange) =>
      ask(signal => api.PUT('/v1/users/{user}', { params: { path: { user } }, body, signal })),
    listProjects: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { projects, next } = await ask(signal =>
          api.GET('/v1/projects', { params: { query }, signal }),
        );
        return { entries: projects, next };
      }),
    setProject: (project: string, body: ProjectChange) =>
      ask(signal => api.PUT('/v1/projects/{project}', { params: { path: { project } }, body, signal })),
    listTokens: (filters: { readonly all?: boolean } = {}) =>
      allPages(async cursor => {
        const query = { ...filters, ...cursorQuery(cursor) };
        const { tokens, next } = await ask(signal => api.GET('/v1/tokens', { params: { query }, signal }));
        return { entries: tokens, next };
      }),
    createToken: (body: TokenRequest) => ask(signal => api.POST('/v1/tokens', { body, signal })),
    revokeToken: (token: string) =>
      ask(signal => api.DELETE('/v1/tokens/{token}', { params: { path: { token } }, signal })),
  };
}
