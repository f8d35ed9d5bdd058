import type { WebhookRequest } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';

/** Who is told of events, and what could not be told. */
export function webhookRequests({ api, ask, list }: Asker) {
  const at = (webhook: string) => ({ path: { webhook } });
  return {
    listWebhooks: () =>
      list('webhooks', (query, signal) => api.GET('/v1/webhooks', { params: { query }, signal })),
    /** The secret is in this answer alone. */
    createWebhook: (body: WebhookRequest) => ask(signal => api.POST('/v1/webhooks', { body, signal })),
    deleteWebhook: async (webhook: string): Promise<void> => {
      await ask(async signal => {
        const answer = await api.DELETE('/v1/webhooks/{webhook}', { params: at(webhook), signal });
        return { ...answer, data: answer.response.ok ? null : undefined };
      });
    },
    /** Lets one that has stopped go on. */
    resumeWebhook: (webhook: string) =>
      ask(signal => api.POST('/v1/webhooks/{webhook}/resume', { params: at(webhook), signal })),
    deadLetters: (webhook: string) =>
      list('deadLetters', (query, signal) =>
        api.GET('/v1/webhooks/{webhook}/dead-letters', { params: { ...at(webhook), query }, signal }),
      ),
  };
}
