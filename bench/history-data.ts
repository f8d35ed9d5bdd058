import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { LeaseBench, startedAt } from '../test/support/lease.ts';
import { systemClock } from '../src/platform/clock.ts';
import { systemRandom } from '../src/platform/random.ts';
import { idSuffix } from '../src/protocol/ids.ts';
import { openDatabase } from '../src/service/store/sqlite.ts';

/** Days ago: long before any of it would stay in memory. */
const endedDaysAgo = 3;
const dayMs = 86_400_000;
const users = 50;

/** One lease, from its request to the end of its job, as the core has it, with its whole history. */
function oneLease() {
  const bench = new LeaseBench();
  bench.running(1, { clientToken: 'token' });
  bench.vm(0, 'running', { context: 'ok' });
  bench.after(600_000);
  bench.destroy();
  bench.vm(0, 'terminated');
  bench.node('n0', 'releasing');
  bench.node('n0', 'released');
  bench.observed({ state: 'completed' });
  if (bench.workspace.state !== 'ended' || bench.slot.state !== 'released') throw new Error('not ended');
  return { workspace: bench.workspace, slot: bench.slot, vms: bench.vms, events: bench.events };
}

/** A state directory with so many leases that have ended, none of them retired yet. */
export function fill(directory: string, leases: number): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = openDatabase(join(directory, 'wsp.db'));
  const lease = JSON.stringify(oneLease());
  const put = (table: string) => database.prepare(`insert into ${table} (id, body) values (?, ?)`);
  const workspaces = database.prepare(
    'insert into workspaces (id, body, owner, name, created_at, client_token) values (?, ?, ?, ?, ?, ?)',
  );
  const [slots, vms] = [put('slots'), put('vms')];
  const events = database.prepare(
    'insert into events (at, recorded_at, type, workspace_id, slot_id, vm_id, node, reason) values (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const secrets = database.prepare('insert into secrets (key, value) values (?, ?)');
  const laterMs = systemClock.now() - endedDaysAgo * dayMs - startedAt - leases;
  database.exec('pragma synchronous = off; begin');
  for (let index = 0; index < leases; index++) {
    const suffix = idSuffix(systemRandom.bytes(10));
    const one = JSON.parse(
      lease
        .replaceAll('aaaaaaaaaa', suffix)
        .replaceAll(/\b17\d{11}\b/g, at => String(Number(at) + laterMs + index))
        .replaceAll('"ann"', `"user${index % users}"`)
        .replace('"token"', `"token-${index}"`),
    ) as ReturnType<typeof oneLease>;
    const { workspace, slot } = one;
    const { id, owner, name, createdAt, clientToken } = workspace;
    workspaces.run(id, JSON.stringify(workspace), owner, name, createdAt, clientToken);
    slots.run(slot.id, JSON.stringify(slot));
    secrets.run(`slot:${slot.id}`, Buffer.from(systemRandom.bytes(32)).toString('base64url'));
    for (const vm of one.vms) vms.run(vm.id, JSON.stringify(vm));
    for (const { at, type, workspaceId, slotId, vmId, node, reason } of one.events)
      events.run(at, at, type, workspaceId, slotId, vmId, node, reason && JSON.stringify(reason));
  }
  database.exec('commit');
  database.close();
}
