import type Database from 'libsql';
import { WspError } from '../../protocol/errors.ts';
import { refuseNoJson } from './unread.ts';

/** Entry n brings a database from version n (`user_version`) to n + 1. None ever changes. */
const migrations: readonly string[] = [
  `create table workspaces (id text primary key, body text not null) strict;
   create table slots (id text primary key, body text not null) strict;
   create table vms (id text primary key, body text not null) strict;
   create table events (
     seq integer primary key autoincrement,
     at integer not null,
     recorded_at integer not null,
     type text not null,
     workspace_id text,
     slot_id text,
     vm_id text,
     node text,
     reason text
   ) strict;
   create index events_of_workspace on events (workspace_id, seq);
   create table outbox (number integer primary key autoincrement, key text not null unique, body text not null) strict;
   create table secrets (key text primary key, value text not null) strict;`,
  // Leases with a latest start, partial ensembles, client tokens.
  `update workspaces set body = json_set(body, '$.startBy', null, '$.keepPartial', json('false'), '$.clientToken', null, '$.requestDigest', null,
     '$.noticesGivenMs', json('[]'))
     where body ->> '$.keepPartial' is null;`,
  // Access: users, projects and tokens as documents; who did what. Workspaces of a project.
  `create table access (kind text not null, id text not null, body text not null, primary key (kind, id)) strict;
   create table audit (seq integer primary key autoincrement, body text not null) strict;
   update workspaces set body = json_set(body, '$.project', null) where body ->> '$.project' is null;`,
  // Orders to VMs.
  `update vms set body = json_set(body, '$.orders', 0) where body ->> '$.orders' is null;`,
  // Slots that several workspaces may be in, or none.
  `update slots set body = json_remove(json_set(body, '$.warm', json('false'), '$.workspaceIds', json_array(body ->> '$.workspaceId'),
     '$.owner', (select w.body ->> '$.owner' from workspaces w where w.id = slots.body ->> '$.workspaceId')), '$.workspaceId')
     where body ->> '$.workspaceIds' is null;`,
  // Several pools.
  `update slots set body = json_set(body, '$.pool', 'default') where body ->> '$.pool' is null;
   update workspaces set body = json_set(body, '$.pools', json('[]')) where body ->> '$.pools' is null;`,
  // Workspaces that are started anew after a preemption.
  `update workspaces set body = json_set(body, '$.requeue', json('false'), '$.requeues', 0) where body ->> '$.requeue' is null;`,
  // VMs that replace ones that were lost.
  `update workspaces set body = json_set(body, '$.heal', 'fail') where body ->> '$.heal' is null;
   update vms set body = json_set(body, '$.replaces', 0) where body ->> '$.replaces' is null;`,
  // Why a slot's node is as it is.
  `update slots set body = json_set(body, '$.nodes',
     json((select json_group_array(json_set(value, '$.reason', null)) from json_each(body, '$.nodes'))))
     where exists (select 1 from json_each(body, '$.nodes') where value ->> '$.reason' is null);`,
  // What of the LRM does not work, and whether a job that waits will start by itself.
  `update slots set body = json_set(body, '$.lrmOutlook', null, '$.lrmTrouble', null);`,
  // Jobs that the LRM suspends, and whose cancelling is ours.
  `update slots set body = json_set(body, '$.suspendedSince', null, '$.cancelOrdered', json('false'));
   update workspaces set body = json_set(body, '$.suspendedMs', 0);`,
  // Pilots whose node has closed the connection.
  `update slots set body = json_set(body, '$.nodes',
     json((select json_group_array(json_set(value, '$.hungUp', json('false'))) from json_each(body, '$.nodes'))));`,
  // What pilots and guests say without end is counted.
  `update slots set body = json_set(body, '$.nodes',
     json((select json_group_array(json_set(value, '$.told', 0)) from json_each(body, '$.nodes'))));
   update vms set body = json_set(body, '$.told', 0);`,
  // VNIs that are drawn.
  `update workspaces set body = json_set(body, '$.vnis', json('{}'));`,
  // Only nodes that the LRM has given a job are nodes of its slot.
  `update slots set body = json_set(body, '$.jobNodes', json('[]'));`,
  // Orders to pilots, each whole inside its effect.
  `update outbox set body = json_object('kind', 'pilot', 'key', body ->> '$.key', 'slotId', body ->> '$.slotId',
     'node', body ->> '$.node', 'order', json_set(json_remove(body, '$.key', '$.slotId', '$.node'),
     '$.kind', substr(body ->> '$.kind', length('pilot.') + 1))) where body ->> '$.kind' like 'pilot.%';`,
  // What has ended leaves memory (lease/retire.ts): it is found by its owner, its name, its age and
  // its client token, and what its VMs have run is kept for accounting. Documents have a version.
  `alter table workspaces add column version integer not null default 1;
   alter table workspaces add column retired integer not null default 0;
   alter table workspaces add column owner text;
   alter table workspaces add column name text;
   alter table workspaces add column created_at integer;
   alter table workspaces add column client_token text;
   update workspaces set owner = body ->> '$.owner', name = body ->> '$.name',
     created_at = body ->> '$.createdAt', client_token = body ->> '$.clientToken';
   create index workspaces_in_memory on workspaces (retired) where retired = 0;
   create index workspaces_by_age on workspaces (created_at, id);
   create index workspaces_by_owner on workspaces (owner, created_at, id);
   create index workspaces_by_name on workspaces (name, owner, created_at);
   create index workspaces_by_token on workspaces (client_token, owner) where client_token is not null;
   alter table slots add column version integer not null default 1;
   alter table slots add column retired integer not null default 0;
   create index slots_in_memory on slots (retired) where retired = 0;
   alter table vms add column version integer not null default 1;
   alter table vms add column retired integer not null default 0;
   create index vms_in_memory on vms (retired) where retired = 0;
   alter table outbox add column version integer not null default 1;
   alter table access add column version integer not null default 1;
   create table used (owner text not null, project text not null, vm_ms integer not null, primary key (owner, project)) strict;
   create table runs (
     workspace_id text not null,
     owner text not null,
     project text,
     cpus integer not null,
     memory_mib integer not null,
     from_at integer not null,
     to_at integer not null
   ) strict;
   create index runs_by_end on runs (to_at);`,
  // A start finds what cannot be read of the past, however long that is (`unread.ts`).
  `create index unread_workspaces on workspaces (id) where version <> 1 or not json_valid(body);
   create index unread_slots on slots (id) where version <> 1 or not json_valid(body);
   create index unread_vms on vms (id) where version <> 1 or not json_valid(body);
   create index unread_events on events (seq) where not json_valid(reason);
   create index unread_audit on audit (seq) where not json_valid(body);`,
];

/** A transaction for each step. Throws `WspError` (`failed`): it is newer, or is no JSON. */
export function migrate(database: Database.Database): void {
  const row = database.prepare('pragma user_version').get() as { readonly user_version: number };
  const found = row.user_version;
  if (found > migrations.length)
    throw new WspError(
      'failed',
      `the service's database has schema version ${found}; this program knows up to ${migrations.length}`,
      {
        hint: 'start the newer program that made it, or restore the backup from before the upgrade (docs/admin/operating.md)',
      },
    );
  if (found < migrations.length) refuseNoJson(database);
  for (const [index, migration] of migrations.entries())
    if (index >= found) database.exec(`begin; ${migration} pragma user_version = ${index + 1}; commit`);
}
