import { asker, tokenSource } from './ask.ts';
import { connectionTo } from './connection.ts';
import { followEvents } from './follow.ts';
import { accessRequests } from './requests/access.ts';
import { accountingRequests } from './requests/accounting.ts';
import { webhookRequests } from './requests/webhooks.ts';
import { historyRequests } from './requests/history.ts';
import { siteRequests } from './requests/site.ts';
import { workspaceRequests } from './requests/workspaces.ts';
import { logIn } from './login.ts';
import { openStream } from './stream.ts';
import type { Client, ClientOptions } from './types.ts';
import { waitForWorkspace } from './wait.ts';

const defaultTimeoutMs = 30_000;

/** A client of the service at `url`. Makes no connection yet. */
export function createClient(options: ClientOptions): Client {
  const url = options.url.replace(/\/+$/, '');
  const timeoutMs = options.requestTimeoutMs ?? defaultTimeoutMs;
  const direct = connectionTo({ url, ca: options.ca });
  const connection = options.fetch ? { ...direct, fetch: options.fetch } : direct;
  const tokens = tokenSource(options.token, () => logIn(url, connection, timeoutMs, options.login ?? {}));
  const asking = asker({ url, connection, tokens, timeoutMs });
  const { getWorkspace, ...workspaces } = workspaceRequests(asking);
  const { events, ...history } = historyRequests(asking);
  return {
    url,
    ...workspaces,
    ...history,
    ...siteRequests(asking),
    ...accessRequests(asking),
    ...accountingRequests(asking),
    ...webhookRequests(asking),
    getWorkspace: workspace => getWorkspace(workspace),
    events: (query = {}) => events(query),
    follow: (query = {}) => followEvents(events, query, options.pause),
    waitForWorkspace: (workspace, until, wait) =>
      waitForWorkspace({ getWorkspace, events, pause: options.pause }, workspace, until, wait),
    openStream: async (workspace, vm, end) =>
      openStream({ url, connection, token: await tokens.token(), timeoutMs }, workspace, vm, end),
  };
}
