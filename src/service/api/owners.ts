import type { SiteState, Slot, Workspace } from '../../lease/model.ts';
import type { WorkspaceRequest } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import type { Caller } from '../access/accounts.ts';
import type { Engine, KnownWorkspace, StoredEvent } from '../core/engine-api.ts';
import { hasRole } from './auth.ts';

/** Users see their own; operators and administrators see all. */
export function mayRead(caller: Caller, owner: string | undefined): boolean {
  return hasRole(caller, 'operator') || (owner !== undefined && caller.user === owner);
}

/** Whether an event is of a workspace that the caller may read; those of nobody's are for operators. */
export function maySee(caller: Caller, { owner }: Pick<StoredEvent, 'owner'>): boolean {
  return mayRead(caller, owner ?? undefined);
}

/** Whose workspaces the caller may read: one user's, or everybody's. */
export function readableOwner(caller: Caller): string | undefined {
  return hasRole(caller, 'operator') ? undefined : caller.user;
}

/** The workspaces in a slot that the caller may read. */
export function readableIn({ workspaces }: SiteState, caller: Caller, slot: Slot): readonly Workspace[] {
  return slot.workspaceIds
    .flatMap(id => workspaces.get(id) ?? [])
    .filter(({ owner }) => mayRead(caller, owner));
}

/** Who may do all to a workspace, and go into its VMs: its owner and administrators. */
export function mayEnter(caller: Caller, { owner }: Pick<Workspace, 'owner'>): boolean {
  return owner === caller.user || hasRole(caller, 'admin');
}

/** The workspace of `findWorkspace`, for what only its owner and administrators may do. Throws `WspError` (`not_found`, `forbidden`). */
export async function findOwn(
  engine: Pick<Engine, 'find'>,
  caller: Caller,
  idOrName: string,
): Promise<KnownWorkspace> {
  const found = await findWorkspace(engine, caller, idOrName);
  const { workspace } = found;
  if (mayEnter(caller, workspace)) return found;
  throw new WspError(
    'forbidden',
    `workspace ${workspace.name} is ${workspace.owner}'s: an operator may look at it and end it`,
  );
}

/**
 * The workspace of that id, or the newest of that name, among those that the user may see. What belongs to others is `not_found`, as
 * if it were not there: names are nobody else's business.
 */
export async function findWorkspace(
  engine: Pick<Engine, 'find'>,
  caller: Caller,
  idOrName: string,
): Promise<KnownWorkspace> {
  const found = await engine.find(idOrName, readableOwner(caller));
  if (found) return found;
  throw new WspError('not_found', `there is no workspace ${idOrName}`, {
    hint: 'wsp ls --all lists yours, the ended ones too',
  });
}

/** The id of the workspace of `findWorkspace`; undefined when a request names none. */
export async function idOfReadable(
  engine: Pick<Engine, 'find'>,
  caller: Caller,
  idOrName: string | undefined,
): Promise<string | undefined> {
  return idOrName === undefined ? undefined : (await findWorkspace(engine, caller, idOrName)).workspace.id;
}

/** The request with the project that is charged: the one that it names, which must be one of the caller's, or the caller's first. Throws `WspError` (`forbidden`). */
export function withProject(caller: Caller, request: WorkspaceRequest): WorkspaceRequest {
  const { project = caller.projects[0] } = request;
  if (project === undefined) return request;
  if (caller.projects.includes(project)) return { ...request, project };
  const own = caller.projects.length === 0 ? 'of none' : `of ${caller.projects.join(', ')}`;
  throw new WspError('forbidden', `${caller.user} is not a member of project ${project}, but ${own}`);
}
