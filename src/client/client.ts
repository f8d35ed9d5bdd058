import type { Duplex } from 'node:stream';
import createFetch from 'openapi-fetch';
import type {
  DryRunView,
  EventView,
  ImageView,
  NodeView,
  SlotView,
  TimelineView,
  WorkspaceView,
} from '../protocol/api.ts';
import type { GroupRequest, WorkspaceRequest } from '../protocol/cluster.ts';
import { errorOfAnswer, unreachable } from './failures.ts';
import type { paths } from './schema.gen.ts';
import { openStream } from './stream.ts';
import { waitForWorkspace } from './wait.ts';

/** Where the service is, who asks, and how long an answer may take. */
export interface ClientOptions {
  /** `http(s)://host:port` of the service. */
  readonly url: string;
  readonly token: string;
  /** Default: Node's own. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** The longest that one request may take, long polls' own waiting not counted. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** How to let time pass between tries. With it, waiting for a workspace outlives a service that is started again; without, it ends with `service_unreachable`. */
  readonly pause?: (delayMs: number) => Promise<void>;
}

/** Which part of the history to read. */
export interface EventQuery {
  /** Events with a higher number than this. Default 0: from the first. */
  readonly after?: number;
  /** Id or name; only this workspace's. */
  readonly workspace?: string;
  /** Waits this long for news when there is none; at most 30 000. Default 0. */
  readonly waitMs?: number;
  readonly limit?: number;
}

/** How long to wait, and who is told meanwhile. */
export interface WaitOptions {
  /** Throws `timeout` after this long. */
  readonly timeoutMs: number;
  /** Each event of the workspace once, its history first. */
  readonly onEvent?: ((event: EventView) => void) | undefined;
  /** The workspace as it is after each batch of events. */
  readonly onWorkspace?: ((workspace: WorkspaceView) => void) | undefined;
}

/** Which bytes of a VM a stream carries: a TCP port of the guest, or its serial console. */
export type StreamEnd = { readonly kind: 'tcp'; readonly port: number } | { readonly kind: 'console' };

/**
 * The service as a typed object. A `workspace` is an id or a name. Every method throws `WspError`: with the code that the service gave,
 * or `service_unreachable`.
 */
export interface Client {
  readonly url: string;
  createWorkspace(request: WorkspaceRequest): Promise<WorkspaceView>;
  /** The live ones; with `all`, the ended ones too. */
  listWorkspaces(options?: { readonly all?: boolean }): Promise<readonly WorkspaceView[]>;
  getWorkspace(workspace: string): Promise<WorkspaceView>;
  /** What `createWorkspace` would come to, now; nothing is created. */
  tryWorkspace(request: WorkspaceRequest): Promise<DryRunView>;
  /** More groups for a pending workspace. */
  addGroups(workspace: string, groups: readonly GroupRequest[]): Promise<WorkspaceView>;
  /** Has a pending workspace placed and deployed as a whole; harmless when it is launched already. */
  launchWorkspace(workspace: string): Promise<WorkspaceView>;
  /** Makes a running lease longer. */
  extendWorkspace(workspace: string, durationMs: number): Promise<WorkspaceView>;
  /** Resolves once the order is durable; wait for `ended` with `waitForWorkspace`. */
  destroyWorkspace(workspace: string): Promise<WorkspaceView>;
  timeline(workspace: string): Promise<TimelineView>;
  /** OpenSSH known_hosts lines for the host names `<workspaceId>.<vm>`. */
  knownHosts(workspace: string): Promise<readonly string[]>;
  /** One page of history; ask again with `after: next`. */
  events(query?: EventQuery): Promise<{ readonly events: readonly EventView[]; readonly next: number }>;
  listSlots(): Promise<readonly SlotView[]>;
  listNodes(): Promise<readonly NodeView[]>;
  listImages(): Promise<readonly ImageView[]>;
  health(): Promise<{ readonly status: 'ok'; readonly version: string }>;
  /**
   * Resolves with the workspace as soon as `until` accepts it, or when nothing more can come: it has ended and its slot is given back.
   * Looks again only after events. Throws `timeout` with the state that it is still in.
   */
  waitForWorkspace(
    workspace: string,
    until: (workspace: WorkspaceView) => boolean,
    options: WaitOptions,
  ): Promise<WorkspaceView>;
  /** Bytes to and from a VM, with backpressure. Ending one's own side closes both. */
  openStream(workspace: string, vm: string, end: StreamEnd): Promise<Duplex>;
}

const defaultTimeoutMs = 30_000;

/** A client of the service at `url`. Makes no connection yet. */
export function createClient(options: ClientOptions): Client {
  const url = options.url.replace(/\/+$/, '');
  const requestTimeoutMs = options.requestTimeoutMs ?? defaultTimeoutMs;
  const api = createFetch<paths>({
    baseUrl: url,
    headers: { authorization: `Bearer ${options.token}` },
    ...(options.fetch ? { fetch: options.fetch } : {}),
  });

  /** One request: a deadline, and one mapping of everything that can go wrong. */
  async function ask<Data>(
    send: (signal: AbortSignal) => Promise<{ data?: Data; error?: unknown; response: Response }>,
    {
      waitMs = 0,
      stop,
    }: { readonly waitMs?: number | undefined; readonly stop?: AbortSignal | undefined } = {},
  ): Promise<Data> {
    const deadline = AbortSignal.timeout(requestTimeoutMs + waitMs);
    const signal = stop ? AbortSignal.any([deadline, stop]) : deadline;
    const answer = await send(signal).catch((cause: unknown) => {
      throw unreachable(url, cause, deadline.aborted ? requestTimeoutMs + waitMs : undefined);
    });
    if (answer.data === undefined) throw errorOfAnswer(url, answer.response.status, answer.error);
    return answer.data;
  }

  const at = (workspace: string) => ({ path: { workspace } });
  const getWorkspace = (workspace: string, stop?: AbortSignal): Promise<WorkspaceView> =>
    ask(signal => api.GET('/v1/workspaces/{workspace}', { params: at(workspace), signal }), { stop });
  const events = (query: EventQuery, stop?: AbortSignal) =>
    ask(signal => api.GET('/v1/events', { params: { query }, signal }), { waitMs: query.waitMs, stop });

  return {
    url,
    createWorkspace: body => ask(signal => api.POST('/v1/workspaces', { body, signal })),
    listWorkspaces: async (query = {}) =>
      (await ask(signal => api.GET('/v1/workspaces', { params: { query }, signal }))).workspaces,
    getWorkspace: workspace => getWorkspace(workspace),
    tryWorkspace: body => ask(signal => api.POST('/v1/workspaces/dry-run', { body, signal })),
    addGroups: (workspace, groups) =>
      ask(signal =>
        api.POST('/v1/workspaces/{workspace}/groups', {
          params: at(workspace),
          body: { groups: [...groups] },
          signal,
        }),
      ),
    launchWorkspace: workspace =>
      ask(signal => api.POST('/v1/workspaces/{workspace}/launch', { params: at(workspace), signal })),
    extendWorkspace: (workspace, durationMs) =>
      ask(signal =>
        api.POST('/v1/workspaces/{workspace}/extend', {
          params: at(workspace),
          body: { durationMs },
          signal,
        }),
      ),
    destroyWorkspace: workspace =>
      ask(signal => api.DELETE('/v1/workspaces/{workspace}', { params: at(workspace), signal })),
    timeline: workspace =>
      ask(signal => api.GET('/v1/workspaces/{workspace}/timeline', { params: at(workspace), signal })),
    knownHosts: async workspace =>
      (
        await ask(signal =>
          api.GET('/v1/workspaces/{workspace}/known-hosts', { params: at(workspace), signal }),
        )
      ).lines,
    events: (query = {}) => events(query),
    listSlots: async () => (await ask(signal => api.GET('/v1/slots', { signal }))).slots,
    listNodes: async () => (await ask(signal => api.GET('/v1/nodes', { signal }))).nodes,
    listImages: async () => (await ask(signal => api.GET('/v1/images', { signal }))).images,
    health: () => ask(signal => api.GET('/v1/health', { signal })),
    waitForWorkspace: (workspace, until, wait) =>
      waitForWorkspace({ getWorkspace, events, pause: options.pause }, workspace, until, wait),
    openStream: (workspace, vm, end) =>
      openStream({ url, token: options.token, timeoutMs: requestTimeoutMs }, workspace, vm, end),
  };
}
