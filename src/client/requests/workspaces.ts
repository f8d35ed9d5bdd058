import type { WorkspaceView } from '../../protocol/api.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import type { Asker } from '../ask.ts';
import type { WorkspaceQuery } from '../types.ts';
import { allPages, cursorQuery } from '../pages.ts';

/** Workspaces and their leases. */
export function workspaceRequests({ api, ask }: Asker) {
  const at = (workspace: string) => ({ path: { workspace } });
  return {
    createWorkspace: (body: WorkspaceRequest) => ask(signal => api.POST('/v1/workspaces', { body, signal })),
    listWorkspaces: ({ states, ...filters }: WorkspaceQuery = {}) =>
      allPages(async cursor => {
        const query = {
          ...filters,
          ...cursorQuery(cursor),
          ...(states === undefined ? {} : { state: [...states] }),
        };
        const { workspaces, next } = await ask(signal =>
          api.GET('/v1/workspaces', { params: { query }, signal }),
        );
        return { entries: workspaces, next };
      }),
    getWorkspace: (workspace: string, stop?: AbortSignal): Promise<WorkspaceView> =>
      ask(signal => api.GET('/v1/workspaces/{workspace}', { params: at(workspace), signal }), { stop }),
    tryWorkspace: (body: WorkspaceRequest) =>
      ask(signal => api.POST('/v1/workspaces/dry-run', { body, signal })),
    addGroups: (workspace: string, groups: readonly GroupRequest[]) => {
      const body = { groups: [...groups] };
      return ask(signal =>
        api.POST('/v1/workspaces/{workspace}/groups', { params: at(workspace), body, signal }),
      );
    },
    launchWorkspace: (workspace: string) =>
      ask(signal => api.POST('/v1/workspaces/{workspace}/launch', { params: at(workspace), signal })),
    extendWorkspace: (workspace: string, durationMs: number) => {
      const body = { durationMs };
      return ask(signal =>
        api.POST('/v1/workspaces/{workspace}/extend', { params: at(workspace), body, signal }),
      );
    },
    operateVms: (workspace: string, body: OperateRequest) =>
      ask(signal =>
        api.POST('/v1/workspaces/{workspace}/operations', { params: at(workspace), body, signal }),
      ),
    destroyWorkspace: (workspace: string) =>
      ask(signal => api.DELETE('/v1/workspaces/{workspace}', { params: at(workspace), signal })),
    knownHosts: async (workspace: string) => {
      const path = '/v1/workspaces/{workspace}/known-hosts';
      return (await ask(signal => api.GET(path, { params: at(workspace), signal }))).lines;
    },
  };
}
