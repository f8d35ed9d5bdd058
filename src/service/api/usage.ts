import { charged, type Charged } from '../../lease/quota.ts';
import type { SiteState } from '../../lease/model.ts';
import type { UsageLine } from '../../protocol/access.ts';
import type { PastUse, StoredEvent } from '../core/engine-api.ts';

/** The events that usage is made of. */
export const usageEvents = ['vm.running', 'vm.stopped', 'vm.terminated', 'vm.failed'] as const;

/** From when to when (milliseconds since the epoch); `now` bounds what still runs. */
export interface UsagePeriod {
  readonly since: number;
  readonly until: number;
  readonly now: number;
}

/** What counts. */
type Counted = Pick<SiteState, 'workspaces' | 'vms' | 'used'>;
type Account = Pick<UsageLine, 'kind' | 'name'>;

/**
 * What each user and project holds, and for how long their VMs have run in a period: each VM from
 * `running` to `stopped` or its end, by the times that the node gave, or to the end of the period; a
 * pause counts. `events`: those of `usageEvents` and of the workspaces in memory, in order, from the
 * beginning of time. `past`: what VMs of retired workspaces have run in the period.
 */
export function usageOf(
  state: Counted,
  events: Iterable<Pick<StoredEvent, 'type' | 'at' | 'vmId'>>,
  period: UsagePeriod,
  of: (whose: Charged) => boolean,
  past: readonly PastUse[] = [],
): readonly UsageLine[] {
  const spans = runningTimes(events, period);
  const accounts = new Map<string, Account>();
  for (const whose of [...state.workspaces.values(), ...state.used.values()]) {
    if (!of(whose)) continue;
    accounts.set(`user ${whose.owner}`, { kind: 'user', name: whose.owner });
    if (whose.project !== null)
      accounts.set(`project ${whose.project}`, { kind: 'project', name: whose.project });
  }
  return [...accounts.values()]
    .toSorted((one, other) => (`${one.kind} ${one.name}` < `${other.kind} ${other.name}` ? 1 : -1))
    .map(account => lineOf(state, spans, account, of, past));
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
  state: Counted,
  spans: ReadonlyMap<string, number>,
  { kind, name }: Account,
  of: (whose: Charged) => boolean,
  past: readonly PastUse[],
): UsageLine {
  const isTheirs = (whose: Charged): boolean =>
    of(whose) && (kind === 'user' ? whose.owner : whose.project) === name;
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
  for (const { vmMs: ms, cpuMs, memoryMiBMs } of past.filter(isTheirs)) {
    vmTime += ms;
    cpuTime += cpuMs;
    memoryTime += memoryMiBMs;
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
