import type { Asker } from '../ask.ts';
import type { EventQuery } from '../types.ts';

/** What has happened. */
export function historyRequests({ api, ask }: Asker) {
  return {
    timeline: (workspace: string) => {
      const params = { path: { workspace } };
      return ask(signal => api.GET('/v1/workspaces/{workspace}/timeline', { params, signal }));
    },
    events: (query: EventQuery, stop?: AbortSignal) =>
      ask(signal => api.GET('/v1/events', { params: { query }, signal }), { waitMs: query.waitMs, stop }),
  };
}
