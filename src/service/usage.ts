import { charged } from '../lease/quota.ts';
import type { SiteState, Workspace } from '../lease/types.ts';
import type { UsageLine } from '../protocol/access.ts';
import type { StoredEvent } from './engine-api.ts';

/** The events that usage is made of. */
export const usageEvents = ['vm.running', 'vm.stopped', 'vm.terminated', 'vm.failed'] as const;

/** From when to when (milliseconds since the epoch); `now` bounds what still runs. */
export interface UsagePeriod {
  readonly since: number;
  readonly until: number;
  readonly now: number;
}

/**
 * What each user and project holds, and for how long their VMs have run in a period: each VM from `running` to `stopped` or its end, by the times that the
 * node gave, or to the end of the period; a pause counts. `events`: those of `usageEvents`, in order, from the beginning of time.
 */
export function usageOf(
  state: SiteState,
  events: Iterable<Pick<StoredEvent, 'type' | 'at' | 'vmId'>>,
  period: UsagePeriod,
  of: (workspace: Workspace) => boolean,
): readonly UsageLine[] {
  const spans = runningTimes(events, period);
  const accounts = new Map<string, { readonly kind: UsageLine['kind']; readonly name: string }>();
  for (const workspace of state.workspaces.values()) {
    if (!of(workspace)) continue;
    accounts.set(`user ${workspace.owner}`, { kind: 'user', name: workspace.owner });
    if (workspace.project !== null)
      accounts.set(`project ${workspace.project}`, { kind: 'project', name: workspace.project });
  }
  return [...accounts.values()]
    .toSorted((one, other) => (`${one.kind} ${one.name}` < `${other.kind} ${other.name}` ? 1 : -1))
    .map(account => lineOf(state, spans, account, of));
}

/** For how long each VM has run in the period, in milliseconds. */
function runningTimes(
  events: Iterable<Pick<StoredEvent, 'type' | 'at' | 'vmId'>>,
  { since, until, now }: UsagePeriod,
): ReadonlyMap<string, number> {
  const end = Math.min(until, now);
  const began = new Map<string, number>();
  const total = new Map<string, number>();
  const add = (vmId: string, upTo: number): void => {
    const ms = Math.min(upTo, end) - Math.max(began.get(vmId) ?? upTo, since);
    total.set(vmId, (total.get(vmId) ?? 0) + Math.max(0, ms));
    began.delete(vmId);
  };
  for (const { type, at, vmId } of events) {
    if (vmId === null) continue;
    if (type !== 'vm.running') add(vmId, at);
    else if (!began.has(vmId)) began.set(vmId, at);
  }
  for (const vmId of began.keys()) add(vmId, end);
  return total;
}

function lineOf(
  state: SiteState,
  spans: ReadonlyMap<string, number>,
  { kind, name }: { readonly kind: UsageLine['kind']; readonly name: string },
  of: (workspace: Workspace) => boolean,
): UsageLine {
  const isTheirs = (workspace: Workspace): boolean =>
    of(workspace) && (kind === 'user' ? workspace.owner : workspace.project) === name;
  const { vmMs, ...held } = charged(state, isTheirs);
  let [vmTime, cpuTime, memoryTime] = [0, 0, 0];
  // Those too that were lost and replaced.
  for (const { id, workspaceId, cpus, memoryMiB } of state.vms.values()) {
    const workspace = state.workspaces.get(workspaceId);
    if (!workspace || !isTheirs(workspace)) continue;
    const ms = spans.get(id) ?? 0;
    vmTime += ms;
    cpuTime += ms * cpus;
    memoryTime += ms * memoryMiB;
  }
  return {
    kind,
    name,
    ...held,
    vmMinutes: vmMs / 60_000,
    vmSeconds: vmTime / 1_000,
    cpuSeconds: cpuTime / 1_000,
    memoryMiBSeconds: memoryTime / 1_000,
  };
}
