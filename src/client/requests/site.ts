import type { UsageView } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';

/** What the site has and who uses how much of it, and how the service is. */
export function siteRequests({ api, ask, list }: Asker) {
  return {
    /** What can be leased here, and what is free at this moment. */
    types: () => ask(signal => api.GET('/v1/types', { signal })),
    listSlots: () => list('slots', (query, signal) => api.GET('/v1/slots', { params: { query }, signal })),
    listNodes: () => list('nodes', (query, signal) => api.GET('/v1/nodes', { params: { query }, signal })),
    listImages: () => list('images', (query, signal) => api.GET('/v1/images', { params: { query }, signal })),
    /** Times as ISO 8601. */
    usage: async (period: { readonly since?: string; readonly until?: string } = {}): Promise<UsageView> => {
      let answer = { since: '', until: '' };
      const lines = await list('lines', async (page, signal) => {
        const query = { ...period, ...page };
        const got = await api.GET('/v1/usage', { params: { query }, signal });
        if (got.data) answer = { since: got.data.since, until: got.data.until };
        return got;
      });
      return { ...answer, lines: [...lines], next: null };
    },
    health: () => ask(signal => api.GET('/v1/health', { signal })),
  };
}
