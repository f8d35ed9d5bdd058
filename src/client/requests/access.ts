import type {
  AuditView,
  ProjectChange,
  TokenRequest,
  UsageView,
  UserChange,
  WebhookRequest,
} from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';
import type { AuditQuery } from '../client.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** The most that the service gives at once. */
const longestPage = 1_000;

/** Who may do what, and who has done what. */
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
    usage: async (period: { readonly since?: string; readonly until?: string } = {}): Promise<UsageView> => {
      let answer = { since: '', until: '' };
      const lines = await allPages(async cursor => {
        const query = { ...period, ...cursorQuery(cursor) };
        const page = await ask(signal => api.GET('/v1/usage', { params: { query }, signal }));
        answer = { since: page.since, until: page.until };
        return { entries: page.lines, next: page.next };
      });
      return { ...answer, lines: [...lines], next: null };
    },
    listWebhooks: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { webhooks, next } = await ask(signal =>
          api.GET('/v1/webhooks', { params: { query }, signal }),
        );
        return { entries: webhooks, next };
      }),
    createWebhook: (body: WebhookRequest) => ask(signal => api.POST('/v1/webhooks', { body, signal })),
    deleteWebhook: async (webhook: string): Promise<void> => {
      const params = { path: { webhook } };
      await ask(async signal => {
        const answer = await api.DELETE('/v1/webhooks/{webhook}', { params, signal });
        return { ...answer, data: answer.response.ok ? null : undefined };
      });
    },
    resumeWebhook: (webhook: string) =>
      ask(signal => api.POST('/v1/webhooks/{webhook}/resume', { params: { path: { webhook } }, signal })),
    deadLetters: (webhook: string) =>
      allPages(async cursor => {
        const params = { path: { webhook }, query: cursorQuery(cursor) };
        const { deadLetters, next } = await ask(signal =>
          api.GET('/v1/webhooks/{webhook}/dead-letters', { params, signal }),
        );
        return { entries: deadLetters, next };
      }),
    /** The newest lines first, at most `limit`. */
    audit: ({ limit = longestPage, before, ...filters }: AuditQuery = {}) =>
      allPages<AuditView, number>(async cursor => {
        const from = cursor ?? before;
        const query = {
          ...filters,
          limit: Math.min(limit, longestPage),
          ...(from === undefined ? {} : { before: from }),
        };
        const { entries, next } = await ask(signal => api.GET('/v1/audit', { params: { query }, signal }));
        return { entries, next };
      }, limit),
  };
}
