import type { WebhookRequest } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** Who is told of events, and what could not be told. */
export function webhookRequests({ api, ask }: Asker) {
  return {
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
  };
}
