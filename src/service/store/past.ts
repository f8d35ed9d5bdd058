import type { Slot, Vm } from '../../lease/model.ts';
import type { KnownWorkspace, PastUse, WorkspaceQuery } from '../core/engine-api.ts';
import { usageEvents } from '../api/usage.ts';
import { type DocumentRow, readSlot, readVm, readWorkspace } from './documents.ts';

/** How SQLite is asked about what is not in memory (`lease/retire.ts`). */
export type Ask = (sql: string, parameters: readonly unknown[]) => readonly unknown[];

/** The conditions that have a value or several, as SQL, and these values. */
export function whereOf(
  conditions: readonly (readonly [sql: string, value: unknown])[],
): [where: string, values: readonly unknown[]] {
  const held = conditions.filter(([, value]) => value !== undefined);
  const where = held.length === 0 ? '' : `where ${held.map(([sql]) => sql).join(' and ')}`;
  return [where, held.flatMap(([, value]) => value)];
}

/** The workspaces that are meant, each with its slot and its VMs. */
export function readWorkspaces(ask: Ask, query: WorkspaceQuery): readonly KnownWorkspace[] {
  const { after, states, newestFirst = false } = query;
  const [where, values] = whereOf([
    ['id = ?', query.id],
    ['name = ?', query.name],
    ['owner = ?', query.owner],
    ['client_token = ?', query.clientToken],
    ["body ->> '$.state' in (select value from json_each(?))", states && JSON.stringify(states)],
    ['created_at >= ?', query.sinceAt],
    ['(created_at, id) > (?, ?)', after && [after.createdAt, after.id]],
  ]);
  const order = newestFirst ? 'created_at desc, rowid desc' : 'created_at, id';
  const sql = `select id, version, body from workspaces ${where} order by ${order} limit ?`;
  const rows = ask(sql, [...values, query.limit]) as readonly DocumentRow[];
  const workspaces = rows.map(readWorkspace);
  const slots = readSlots(
    ask,
    workspaces.map(({ slotId }) => slotId),
  );
  const vms = documentsOf(
    ask,
    'vms',
    workspaces.flatMap(({ vmIds }) => vmIds),
  );
  const among = { slots: byId(slots), vms: byId<Vm>(vms.map(readVm)) };
  return workspaces.map(workspace => ({ workspace, among }));
}

/** Those of the slots that there are. */
export function readSlots(ask: Ask, ids: readonly string[]): readonly Slot[] {
  return documentsOf(ask, 'slots', ids).map(readSlot);
}

function documentsOf(ask: Ask, table: 'slots' | 'vms', ids: readonly string[]) {
  return ask(`select id, version, body from ${table} where id in (select value from json_each(?))`, [
    JSON.stringify(ids),
  ]) as readonly DocumentRow[];
}

function byId<Entity extends { readonly id: string }>(entities: readonly Entity[]): Map<string, Entity> {
  return new Map(entities.map(entity => [entity.id, entity]));
}

/** What retired VMs have run in a period. */
export function readPastUse(
  ask: Ask,
  since: number,
  until: number,
  except: readonly string[],
): readonly PastUse[] {
  return ask(
    `select owner, project, sum(ms) as vmMs, sum(ms * cpus) as cpuMs, sum(ms * memory_mib) as memoryMiBMs
     from (select owner, project, cpus, memory_mib, 1.0 * (min(to_at, ?2) - max(from_at, ?1)) as ms
           from runs where to_at > ?1 and from_at < ?2 and workspace_id not in (select value from json_each(?3)))
     where ms > 0 group by owner, project`,
    [since, until, JSON.stringify(except)],
  ) as readonly PastUse[];
}

/** Marks documents as retired; one parameter: their ids. */
export const retireIn = (table: 'workspaces' | 'slots' | 'vms'): string =>
  `update ${table} set retired = 1 where id in (select value from json_each(?))`;

/** Adds what workspaces that are retired have used. */
export const addUsed = `insert into used (owner, project, vm_ms)
  select value ->> 0, value ->> 1, value ->> 2 from json_each(?) where true
  on conflict (owner, project) do update set vm_ms = vm_ms + excluded.vm_ms`;

/** Keeps when VMs of retired workspaces ran, as `usage.ts` has it; one parameter: their ids. */
export const keepRuns = `insert into runs (workspace_id, owner, project, cpus, memory_mib, from_at, to_at)
  with marks as (
    select vm_id, workspace_id, seq, at, type = 'vm.running' as up,
      lag(type = 'vm.running', 1, 0) over (partition by vm_id order by seq) as was_up
    from events where workspace_id in (select value from json_each(?))
      and type in (${usageEvents.map(type => `'${type}'`).join(', ')})),
  turns as (
    select *, lead(at) over (partition by vm_id order by seq) as next_at from marks where up <> was_up)
  select w.id, w.owner, w.body ->> '$.project', v.body ->> '$.cpus', v.body ->> '$.memoryMiB',
    turns.at, coalesce(turns.next_at, w.body ->> '$.endedAt')
  from turns join vms v on v.id = turns.vm_id join workspaces w on w.id = turns.workspace_id
  where turns.up`;
