import type { Quota, Quotas } from './settings.ts';
import { formatDuration } from '../protocol/units.ts';
import type { Draft } from './draft.ts';
import type { WorkspaceId } from '../protocol/ids.ts';
import type { Refusal } from './decision.ts';
import type { SiteState, Used, Workspace } from './model.ts';

/**
 * What a user and a project may hold at a time, and may use in all. Checked in the decision that charges it, so two requests at once cannot both
 * have the last of it. The charge is not stored: it is what the workspaces themselves say.
 *
 *   pending, waiting, running   its VMs, and their minutes for the whole of the lease (reserved)
 *   ended                       the minutes for which the lease has run (used); of retired ones
 *                               there is one sum for each owner and project
 */

export const noQuota: Quota = {
  workspaces: null,
  vms: null,
  cpus: null,
  memoryMiB: null,
  vmMinutes: null,
  maxDurationMs: null,
};

/** Nobody has any. */
export const noQuotas: Quotas = {
  user: noQuota,
  project: noQuota,
  users: new Map(),
  projects: new Map(),
};

/** What counts against a quota. */
export interface Charge {
  readonly workspaces: number;
  readonly vms: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly vmMs: number;
}

const nothing: Charge = { workspaces: 0, vms: 0, cpus: 0, memoryMiB: 0, vmMs: 0 };

/** What one workspace is charged with. */
export function chargeOf(
  workspace: Pick<Workspace, 'state' | 'groups' | 'durationMs' | 'startsAt' | 'endsAt' | 'endedAt'>,
): Charge {
  const { state, groups, startsAt, endedAt } = workspace;
  const vms = sum(groups, ({ count }) => count);
  if (state === 'ended')
    return { ...nothing, vmMs: startsAt === null ? 0 : vms * ((endedAt ?? startsAt) - startsAt) };
  return {
    workspaces: 1,
    vms,
    cpus: sum(groups, ({ count, cpus }) => count * cpus),
    memoryMiB: sum(groups, ({ count, memoryMiB }) => count * memoryMiB),
    vmMs: vms * leaseMsOf(workspace),
  };
}

/** How long a live workspace's lease is, as far as is known. */
function leaseMsOf({
  durationMs,
  startsAt,
  endsAt,
}: Pick<Workspace, 'durationMs' | 'startsAt' | 'endsAt'>): number {
  return startsAt === null || endsAt === null ? durationMs : endsAt - startsAt;
}

/** Whom a workspace is charged to. */
export type Charged = Pick<Workspace, 'owner' | 'project'>;

/** The charge of all workspaces that `of` picks, but of one. */
export function charged(
  state: Pick<SiteState, 'workspaces' | 'used'>,
  of: (whose: Charged) => boolean,
  except?: WorkspaceId,
): Charge {
  let total = nothing;
  for (const workspace of state.workspaces.values())
    if (workspace.id !== except && of(workspace)) total = plus(total, chargeOf(workspace));
  for (const used of state.used.values()) if (of(used)) total = plus(total, { ...nothing, vmMs: used.vmMs });
  return total;
}

/** Adds what a workspace that is retired has used. */
export function addUsed(used: Map<string, Used>, workspace: Workspace): void {
  const { owner, project } = workspace;
  const key = usedKey(workspace);
  const vmMs = (used.get(key)?.vmMs ?? 0) + chargeOf(workspace).vmMs;
  used.set(key, { owner, project, vmMs });
}

/** Names have no spaces. */
export function usedKey({ owner, project }: Charged): string {
  return `${owner} ${project ?? ''}`;
}

/** Why a workspace, as it is to become, is more than its owner or its project may have; undefined when it is not. */
export function overQuota(draft: Draft, workspace: Workspace): Refusal | undefined {
  const { owner, project } = workspace;
  const { quotas } = draft.settings;
  const quota = quotas.users.get(owner) ?? quotas.user;
  const refusal = over(draft, workspace, `user ${owner}`, quota, each => each.owner === owner);
  if (refusal || project === null) return refusal;
  const shared = quotas.projects.get(project) ?? quotas.project;
  return over(draft, workspace, `project ${project}`, shared, each => each.project === project);
}

function over(
  draft: Draft,
  workspace: Workspace,
  who: string,
  quota: Quota,
  isTheirs: (whose: Charged) => boolean,
): Refusal | undefined {
  const charge = chargeOf(workspace);
  const leaseMs = leaseMsOf(workspace);
  if (quota.maxDurationMs !== null && leaseMs > quota.maxDurationMs)
    return refusal(
      `${who} may lease for ${formatDuration(quota.maxDurationMs)} at most; this is ${formatDuration(leaseMs)}`,
    );
  if (Object.values(quota).every(limit => limit === null)) return undefined;
  const others = charged(draft.state, isTheirs, workspace.id);
  const total = plus(others, charge);
  const minutes = (vmMs: number): number => Math.ceil(vmMs / 60_000);
  for (const [limit, have, wanted, what] of [
    [quota.workspaces, others.workspaces, total.workspaces, 'live workspaces'],
    [quota.vms, others.vms, total.vms, 'VMs'],
    [quota.cpus, others.cpus, total.cpus, 'processors'],
    [quota.memoryMiB, others.memoryMiB, total.memoryMiB, 'MiB of memory'],
    [quota.vmMinutes, minutes(others.vmMs), minutes(total.vmMs), 'VM minutes'],
  ] as const)
    if (limit !== null && wanted > limit)
      return refusal(
        `${who} may have ${limit} ${what}; ${have} are in use, and with this request it would be ${wanted}`,
      );
  return undefined;
}

function refusal(message: string): Refusal {
  return {
    code: 'quota_exceeded',
    message,
    hint: 'wsp usage shows what is in use; end something, ask for less, or ask an administrator for more',
  };
}

function plus(one: Charge, other: Charge): Charge {
  return {
    workspaces: one.workspaces + other.workspaces,
    vms: one.vms + other.vms,
    cpus: one.cpus + other.cpus,
    memoryMiB: one.memoryMiB + other.memoryMiB,
    vmMs: one.vmMs + other.vmMs,
  };
}

function sum<T>(all: readonly T[], amount: (one: T) => number): number {
  return all.reduce((total, one) => total + amount(one), 0);
}
