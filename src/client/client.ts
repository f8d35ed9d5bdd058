import type { Duplex } from 'node:stream';
import type { WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { asker, tokenSource } from './ask.ts';
import { connectionTo } from './connection.ts';
import { type LoginMeans, logIn } from './login.ts';
import { accessRequests } from './requests/access.ts';
import { siteRequests } from './requests/site.ts';
import { webhookRequests } from './requests/webhooks.ts';
import { type EventQuery, workspaceRequests } from './requests/workspaces.ts';
import { openStream, type StreamEnd } from './stream.ts';
import { followEvents, waitForWorkspace, type WaitOptions } from './wait.ts';

/** Where the service is, who asks, and how long an answer may take. */
export interface ClientOptions {
  /** `http(s)://host:port` of the service, or `unix:/path` of its socket. */
  readonly url: string;
  /** Absent: whoever we are logs in with no password, where the service takes that. */
  readonly token?: string | undefined;
  /** PEM of the service's certificate or its authority's. Default: the system's authorities. */
  readonly ca?: string | undefined;
  /** How to log in where no token is given. */
  readonly login?: LoginMeans | undefined;
  /** Default: Node's own. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** The longest that one request may take, long polls' own waiting not counted. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /**
   * How to let time pass between tries. With it, waiting for a workspace outlives a service that is
   * started again; without, it ends with `service_unreachable`.
   */
  readonly pause?: (delayMs: number) => Promise<void>;
}

const defaultTimeoutMs = 30_000;

/**
 * The service as a typed object. A `workspace` is an id or a name; lists are read page by page.
 * Every method throws `WspError`: with the code that the service gave, or `service_unreachable`.
 */
export type Client = ReturnType<typeof createClient>;

/** A client of the service at `url`. Makes no connection yet. */
export function createClient(options: ClientOptions) {
  const url = options.url.replace(/\/+$/, '');
  const { pause, requestTimeoutMs: timeoutMs = defaultTimeoutMs } = options;
  const direct = connectionTo(url, options.ca);
  const connection = options.fetch ? { ...direct, fetch: options.fetch } : direct;
  const tokens = tokenSource(options.token, () => logIn(url, connection, timeoutMs, options.login ?? {}));
  const asking = asker({ url, connection, tokens, timeoutMs });
  const workspaces = workspaceRequests(asking);
  return {
    url,
    ...workspaces,
    ...siteRequests(asking),
    ...accessRequests(asking),
    ...webhookRequests(asking),
    /**
     * Every event once, in order, from `after` on, as it happens; outlives a service that is
     * started again (with `pause`).
     */
    follow: (query: Pick<EventQuery, 'after' | 'workspace'> = {}) =>
      followEvents(workspaces.events, query, pause),
    /**
     * Resolves with the workspace as soon as `until` accepts it, or when nothing more can come: it
     * has ended and its slot is given back. Looks again only after events. Throws `timeout` with the
     * state that it is still in.
     */
    waitForWorkspace: (
      workspace: string,
      until: (workspace: WorkspaceView) => boolean,
      wait: WaitOptions,
    ): Promise<WorkspaceView> => waitForWorkspace({ ...workspaces, pause }, workspace, until, wait),
    /** Bytes to and from a VM, with backpressure. Ending one's own side closes both. */
    openStream: async (workspace: string, vm: string, end: StreamEnd): Promise<Duplex> => {
      const open = (token: string) => openStream({ url, connection, token, timeoutMs }, workspace, vm, end);
      const token = await tokens.token();
      return open(token).catch(async (cause: unknown) => {
        const isUnknown = cause instanceof WspError && cause.code === 'unauthorized';
        // A login lasts as long as the service that it was to.
        if (isUnknown && tokens.refused(token)) return open(await tokens.token());
        throw cause;
      });
    },
  };
}
