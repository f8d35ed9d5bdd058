import type { ProjectChange, TokenRequest, UserChange, WebhookRequest } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';

/** Who may do what, and who has done what. */
export function accessRequests({ api, ask }: Asker) {
  return {
    whoami: () => ask(signal => api.GET('/v1/whoami', { signal })),
    listUsers: async () => (await ask(signal => api.GET('/v1/users', { signal }))).users,
    setUser: (user: string, body: UserChange) =>
      ask(signal => api.PUT('/v1/users/{user}', { params: { path: { user } }, body, signal })),
    listProjects: async () => (await ask(signal => api.GET('/v1/projects', { signal }))).projects,
    setProject: (project: string, body: ProjectChange) =>
      ask(signal => api.PUT('/v1/projects/{project}', { params: { path: { project } }, body, signal })),
    listTokens: async (query: { readonly all?: boolean } = {}) =>
      (await ask(signal => api.GET('/v1/tokens', { params: { query }, signal }))).tokens,
    createToken: (body: TokenRequest) => ask(signal => api.POST('/v1/tokens', { body, signal })),
    revokeToken: (token: string) =>
      ask(signal => api.DELETE('/v1/tokens/{token}', { params: { path: { token } }, signal })),
    usage: (query: { readonly since?: string; readonly until?: string } = {}) =>
      ask(signal => api.GET('/v1/usage', { params: { query }, signal })),
    listWebhooks: async () => (await ask(signal => api.GET('/v1/webhooks', { signal }))).webhooks,
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
    deadLetters: async (webhook: string) => {
      const params = { path: { webhook } };
      return (await ask(signal => api.GET('/v1/webhooks/{webhook}/dead-letters', { params, signal })))
        .deadLetters;
    },
    audit: async (query: { readonly before?: number; readonly limit?: number } = {}) =>
      (await ask(signal => api.GET('/v1/audit', { params: { query }, signal }))).entries,
  };
}
