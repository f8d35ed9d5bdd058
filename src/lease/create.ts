import type { WorkspaceRequest } from '../protocol/cluster.ts';
import type { Draft } from './draft.ts';
import { launchNew } from './launch.ts';
import { overQuota } from './quota.ts';
import { parseMoment } from '../protocol/units.ts';
import { unknownPool } from './pools.ts';
import { conflict, malformed, unknownParts, withDefaults } from './request.ts';
import type { Refusal } from './decision.ts';
import type { LeaseInput } from './inputs.ts';
import type { Workspace } from './model.ts';

type Create = Extract<LeaseInput, { readonly type: 'create' }>;

/** The owner's workspace that this client token has made before. */
export function workspaceOfToken(
  workspaces: Iterable<Workspace>,
  owner: string,
  clientToken: string | undefined,
): Workspace | undefined {
  if (clientToken === undefined) return undefined;
  for (const workspace of workspaces)
    if (workspace.clientToken === clientToken && workspace.owner === owner) return workspace;
  return undefined;
}

/**
 * Accepts a workspace, and launches it unless it is to wait for more groups; or says why not, and leaves no trace. A request that comes again with
 * the same client token changes nothing.
 */
export function create(draft: Draft, input: Create): Refusal | undefined {
  const before = workspaceOfToken(draft.state.workspaces.values(), input.owner, input.request.clientToken);
  return before ? sameRequest(before, input) : createNew(draft, input);
}

/** Why a request that comes with a token that has made this workspace is not the same; undefined: it is. */
export function sameRequest(
  before: Workspace,
  { requestDigest, request }: Pick<Create, 'requestDigest' | 'request'>,
): Refusal | undefined {
  if (before.requestDigest === requestDigest) return undefined;
  return {
    code: 'conflict',
    message: `the client token ${request.clientToken} has already been used for workspace ${before.id}, with another request`,
    hint: 'use a new token for a new request',
  };
}

function createNew(draft: Draft, input: Create): Refusal | undefined {
  const { settings } = draft;
  const { pending = false } = input.request;
  const workspace = newWorkspace(draft, input);
  const refusal =
    startByOver(draft, input.request) ??
    nameTaken(draft, input) ??
    malformed(workspace.groups, pending) ??
    unknownParts(workspace.groups, settings) ??
    unknownPool(workspace, settings) ??
    overQuota(draft, workspace);
  if (refusal) return refusal;
  if (!pending) return launchNew(draft, workspace, input.lots);
  draft.putWorkspace(workspace);
  draft.record('workspace.pending', { workspaceId: workspace.id });
  return undefined;
}

function newWorkspace(
  draft: Draft,
  { workspaceId, slotId, owner, request, requestDigest }: Create,
): Workspace {
  const { settings } = draft;
  return {
    id: workspaceId,
    name: request.name ?? workspaceId,
    owner,
    project: request.project ?? null,
    state: 'pending',
    cause: null,
    reason: null,
    groups: request.groups.map(group => withDefaults(group, settings)),
    pools: request.pools ?? [],
    slotId,
    vmIds: [],
    durationMs: request.durationMs ?? settings.defaultDurationMs,
    createdAt: draft.now,
    startsAt: null,
    endsAt: null,
    suspendedMs: 0,
    endingDeadlineAt: null,
    endedAt: null,
    deployDeadlineAt: null,
    startBy: request.startBy === undefined ? null : Date.parse(request.startBy),
    keepPartial: request.keepPartial ?? false,
    requeue: request.requeue ?? false,
    requeues: 0,
    heal: request.heal ?? 'fail',
    clientToken: request.clientToken ?? null,
    requestDigest: request.clientToken === undefined ? null : requestDigest,
    vnis: {},
    noticesGivenMs: [],
  };
}

function startByOver(draft: Draft, { startBy }: WorkspaceRequest): Refusal | undefined {
  if (startBy === undefined) return undefined;
  const at = parseMoment(startBy);
  if (at !== undefined && at > draft.now) return undefined;
  const message =
    at === undefined
      ? `startBy: ${startBy} is not a time that exists`
      : `startBy: ${startBy} has already passed`;
  return { code: 'invalid_request', message };
}

function nameTaken(draft: Draft, { workspaceId, owner, request }: Create): Refusal | undefined {
  const name = request.name ?? workspaceId;
  for (const other of draft.state.workspaces.values())
    if (other.owner === owner && other.name === name && other.state !== 'ended')
      return conflict(
        `the name ${name} is in use by your workspace ${other.id}, which is ${other.state}`,
        'choose another name, or destroy that workspace first',
      );
  return undefined;
}
