import type { AuditView, UsageView } from '../../protocol/access.ts';
import type { Asker } from '../ask.ts';
import type { AuditQuery } from '../types.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** The most that the service gives at once. */
const longestPage = 1_000;

/** Who has used how much, and who has done what. */
export function accountingRequests({ api, ask }: Asker) {
  return {
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
