import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import type { WorkspaceState } from '../../protocol/states.ts';
import type { Asker } from '../ask.ts';

/** Which workspaces to list. */
interface WorkspaceQuery {
  readonly all?: boolean;
  readonly states?: readonly WorkspaceState[];
  readonly owner?: string;
  readonly name?: string;
  /** Created then or later; ISO 8601. */
  readonly since?: string;
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

/** Workspaces and their leases, and what has happened. */
export function workspaceRequests({ api, ask, list }: Asker) {
  const at = (workspace: string) => ({ path: { workspace } });
  return {
    createWorkspace: (body: WorkspaceRequest) => ask(signal => api.POST('/v1/workspaces', { body, signal })),
    /** The live ones, the oldest first; with `all` or by their state the ended ones too. */
    listWorkspaces: ({ states, ...filters }: WorkspaceQuery = {}) =>
      list('workspaces', (page, signal) => {
        const query = { ...filters, ...page, ...(states ? { state: [...states] } : {}) };
        return api.GET('/v1/workspaces', { params: { query }, signal });
      }),
    getWorkspace: (workspace: string, stop?: AbortSignal) =>
      ask(signal => api.GET('/v1/workspaces/{workspace}', { params: at(workspace), signal }), { stop }),
    /** What `createWorkspace` would come to, now; nothing is created. */
    tryWorkspace: (body: WorkspaceRequest) =>
      ask(signal => api.POST('/v1/workspaces/dry-run', { body, signal })),
    /** More groups for a pending workspace. */
    addGroups: (workspace: string, groups: readonly GroupRequest[]) => {
      const body = { groups: [...groups] };
      return ask(signal =>
        api.POST('/v1/workspaces/{workspace}/groups', { params: at(workspace), body, signal }),
      );
    },
    /** Has a pending workspace placed and deployed as a whole; harmless when that is done. */
    launchWorkspace: (workspace: string) =>
      ask(signal => api.POST('/v1/workspaces/{workspace}/launch', { params: at(workspace), signal })),
    /** Makes a running lease longer. */
    extendWorkspace: (workspace: string, durationMs: number) => {
      const body = { durationMs };
      return ask(signal =>
        api.POST('/v1/workspaces/{workspace}/extend', { params: at(workspace), body, signal }),
      );
    },
    /** Resolves once the order is durable; what becomes of it is in the events. */
    operateVms: (workspace: string, body: OperateRequest) =>
      ask(signal =>
        api.POST('/v1/workspaces/{workspace}/operations', { params: at(workspace), body, signal }),
      ),
    /** Resolves once the order is durable; wait for `ended` with `waitForWorkspace`. */
    destroyWorkspace: (workspace: string) =>
      ask(signal => api.DELETE('/v1/workspaces/{workspace}', { params: at(workspace), signal })),
    timeline: (workspace: string) =>
      ask(signal => api.GET('/v1/workspaces/{workspace}/timeline', { params: at(workspace), signal })),
    /** OpenSSH known_hosts lines for the host names `<workspaceId>.<vm>`. */
    knownHosts: async (workspace: string) => {
      const path = '/v1/workspaces/{workspace}/known-hosts';
      return (await ask(signal => api.GET(path, { params: at(workspace), signal }))).lines;
    },
    /** One page of history; ask again with `after: next`. */
    events: (query: EventQuery = {}, stop?: AbortSignal) =>
      ask(signal => api.GET('/v1/events', { params: { query }, signal }), { waitMs: query.waitMs, stop }),
  };
}
