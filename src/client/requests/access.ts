import type { ProjectChange, TokenRequest, UserChange } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';
import { allPages } from '../pages.ts';

/** Which lines of the audit log to read. */
interface AuditQuery {
  /** Only those with a smaller number. */
  readonly before?: number;
  /** How many at most. Default 1,000. */
  readonly limit?: number;
  readonly user?: string;
  /** ISO 8601. */
  readonly since?: string;
}

/** The most lines of the audit log that the service gives at once. */
const longestPage = 1_000;

/** Who may do what, and who has done what. */
export function accessRequests({ api, ask, list }: Asker) {
  return {
    whoami: () => ask(signal => api.GET('/v1/whoami', { signal })),
    listUsers: () => list('users', (query, signal) => api.GET('/v1/users', { params: { query }, signal })),
    /** Makes or changes a user. */
    setUser: (user: string, body: UserChange) =>
      ask(signal => api.PUT('/v1/users/{user}', { params: { path: { user } }, body, signal })),
    listProjects: () =>
      list('projects', (query, signal) => api.GET('/v1/projects', { params: { query }, signal })),
    /** Makes a project, or changes its quota. */
    setProject: (project: string, body: ProjectChange) =>
      ask(signal => api.PUT('/v1/projects/{project}', { params: { path: { project } }, body, signal })),
    listTokens: (filters: { readonly all?: boolean } = {}) =>
      list('tokens', (page, signal) =>
        api.GET('/v1/tokens', { params: { query: { ...filters, ...page } }, signal }),
      ),
    createToken: (body: TokenRequest) => ask(signal => api.POST('/v1/tokens', { body, signal })),
    revokeToken: (token: string) =>
      ask(signal => api.DELETE('/v1/tokens/{token}', { params: { path: { token } }, signal })),
    /** The newest lines first. */
    audit: ({ limit = longestPage, before, ...filters }: AuditQuery = {}) =>
      allPages(async (cursor: number | undefined) => {
        const from = cursor ?? before;
        const query = {
          ...filters,
          limit: Math.min(limit, longestPage),
          ...(from === undefined ? {} : { before: from }),
        };
        return ask(signal => api.GET('/v1/audit', { params: { query }, signal }));
      }, limit),
  };
}
