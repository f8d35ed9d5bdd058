import type { Asker } from '../ask.ts';

/** What the site has, and how the service is. */
export function siteRequests({ api, ask }: Asker) {
  return {
    types: () => ask(signal => api.GET('/v1/types', { signal })),
    listSlots: async () => (await ask(signal => api.GET('/v1/slots', { signal }))).slots,
    listNodes: async () => (await ask(signal => api.GET('/v1/nodes', { signal }))).nodes,
    listImages: async () => (await ask(signal => api.GET('/v1/images', { signal }))).images,
    health: () => ask(signal => api.GET('/v1/health', { signal })),
  };
}
