import type { SiteState, Workspace } from '../../lease/types.ts';
import { WspError } from '../../protocol/errors.ts';

/** The user who sees and may end everything. */
export const adminUser = 'admin';

/** Users see their own; `admin` sees all. */
export function mayRead(user: string, owner: string | undefined): boolean {
  return user === adminUser || (owner !== undefined && user === owner);
}

/**
 * The workspace of that id, or the newest of that name, among those that the user may see. What belongs to others is `not_found`, as
 * if it were not there: names are nobody else's business.
 */
export function findWorkspace(state: SiteState, user: string, idOrName: string): Workspace {
  let found = state.workspaces.get(idOrName);
  if (found && !mayRead(user, found.owner)) found = undefined;
  if (!found) {
    for (const workspace of state.workspaces.values()) {
      if (workspace.name !== idOrName || !mayRead(user, workspace.owner)) continue;
      if (!found || workspace.createdAt >= found.createdAt) found = workspace;
    }
  }
  if (found) return found;
  throw new WspError('not_found', `there is no workspace ${idOrName}`, {
    hint: 'wsp ls --all lists yours, the ended ones too',
  });
}
