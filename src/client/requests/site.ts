import type { Asker } from '../ask.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** What the site has, and how the service is. */
export function siteRequests({ api, ask }: Asker) {
  return {
    types: () => ask(signal => api.GET('/v1/types', { signal })),
    listSlots: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { slots, next } = await ask(signal => api.GET('/v1/slots', { params: { query }, signal }));
        return { entries: slots, next };
      }),
    listNodes: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { nodes, next } = await ask(signal => api.GET('/v1/nodes', { params: { query }, signal }));
        return { entries: nodes, next };
      }),
    listImages: () =>
      allPages(async cursor => {
        const query = cursorQuery(cursor);
        const { images, next } = await ask(signal => api.GET('/v1/images', { params: { query }, signal }));
        return { entries: images, next };
      }),
    health: () => ask(signal => api.GET('/v1/health', { signal })),
  };
}
