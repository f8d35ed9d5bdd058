/**
 * `node --import tsx bench/floods/main.ts [CREATES] [pilot,guest,streams]`: how long a create takes
 * until it is durable and answered, with nobody else there, and beside a pilot that floods, a guest
 * that floods and a client with all of its streams. The real API, core, writer, SQLite store on
 * disk and hub; the scheduler has no nodes. Quiet and flooded rounds take turns in one program.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startChild } from '../../src/platform/children.ts';
import { nextTurn, pause, systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createEngine } from '../../src/service/core/engine.ts';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import { engineOptions } from '../../test/sim/site.ts';
import { apiOver } from '../../test/support/api.ts';
import { FakeLrm, must } from '../../test/support/engine.ts';
import { machine, median } from '../figures.ts';
import type { HostileData } from './data.ts';

const creates = Number(process.argv[2] ?? 300);
/** Those that flood; fewer, to see which of them costs what. */
const hostileNames = process.argv[3]?.split(',') ?? ['pilot', 'guest', 'streams'];
const rounds = 3;
/** As many as one client may have. */
const streams = 64;
const settleMs = 5_000;

const directory = mkdtempSync(join(tmpdir(), 'wsp-floods-'));
const lrm = new FakeLrm();
const store = openSqliteStore({ directory: join(directory, 'state') });
const parts = { clock: systemClock, random: systemRandom, log: silentLog, store, lrm };
const options = engineOptions(parts, { kind: 'exact' }, 'wait');
const engine = createEngine({ ...options, gather: nextTurn });
await engine.start();
const api = await apiOver(engine, systemClock);
const url = await api.listen();

/** Milliseconds until a workspace that has been asked for is durable, one after the other. */
async function createsMs(): Promise<number[]> {
  const group = { name: 'vm', image: 'mini', memoryMiB: 256, networks: [] };
  const taken: number[] = [];
  for (let index = 0; index < creates; index += 1) {
    const startedMs = systemClock.monotonicMs();
    const answer = await fetch(`${url}/v1/workspaces`, {
      method: 'POST',
      headers: { ...api.as('ann'), 'content-type': 'application/json' },
      body: JSON.stringify({ groups: [group] }),
    });
    taken.push(systemClock.monotonicMs() - startedMs);
    if (answer.status !== 201) throw new Error(`create: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
  return taken;
}

/** The slot that the hostile pilot has the secret of. */
async function hostilesData(): Promise<HostileData> {
  const group = { name: 'vm', image: 'mini', count: 1, memoryMiB: 256, cpus: 1, networks: [] };
  const { slotId, vmIds } = await engine.workspaces.create('bob', { groups: [group] });
  while (lrm.jobs.length === 0) await pause(systemClock, 10);
  lrm.change(must(lrm.jobs[0]).jobId, { state: 'running', nodes: ['n0'] });
  const secret = must((await store.load()).secrets.get(`slot:${slotId}`));
  return { url, slotId, vmId: must(vmIds[0]), secret, directory, wanted: streams, ...api.as('olga') };
}

async function hostile(name: string, data: HostileData): Promise<Child> {
  const file = new URL(`./${name}.ts`, import.meta.url).pathname;
  const child = await startChild([process.execPath, '--import', 'tsx', file], {
    stdio: ['pipe', 'ignore', 2],
  });
  child.stdin?.end(JSON.stringify(data));
  return child;
}

const bytesIn = (path: string, wanted: (name: string) => boolean): number =>
  readdirSync(path)
    .filter(wanted)
    .reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
const figures = () => ({
  heapMiB: process.memoryUsage().heapUsed / 1_048_576,
  databaseKiB: bytesIn(join(directory, 'state'), name => name.startsWith('wsp.db')) / 1_024,
  nodeKiB: bytesIn(directory, name => name.endsWith('.jsonl')) / 1_024,
});
const p99 = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.ceil(values.length * 0.99) - 1] ?? 0;

const data = await hostilesData();
const [quiet, flooded]: number[][] = [[], []];
const grown: ReturnType<typeof figures>[] = [];
try {
  // The first ones compile the program.
  await createsMs();
  for (let round = 0; round < rounds; round += 1) {
    quiet?.push(...(await createsMs()));
    const hostiles = await Promise.all(hostileNames.map(name => hostile(name, data)));
    await pause(systemClock, settleMs);
    grown.push(figures());
    flooded?.push(...(await createsMs()));
    grown.push(figures());
    for (const each of hostiles) each.kill('SIGKILL');
    await Promise.all(hostiles.map(({ exited }) => exited));
    await pause(systemClock, settleMs);
  }
} finally {
  await api.app.close();
  await engine.stop();
  rmSync(directory, { recursive: true, force: true });
}

const [calm, loud] = [quiet ?? [], flooded ?? []];
const line = (name: string, values: readonly number[]): string =>
  `${name.padEnd(32)} median ${median(values).toFixed(1)} ms, p99 ${p99(values).toFixed(1)} ms`;
console.log(`${calm.length} creates quiet, ${loud.length} beside floods, on one machine: ${machine()}`);
console.log(line('create, nobody else there', calm));
console.log(line('create, pilot, guest and client flood', loud));
console.log(
  `ratio of p99 ${(p99(loud) / p99(calm)).toFixed(2)} (must: 2, goal: 1.1), of medians ${(median(loud) / median(calm)).toFixed(2)}`,
);
for (const [index, each] of grown.entries())
  console.log(
    `round ${Math.floor(index / 2) + 1} ${index % 2 === 0 ? 'begins' : 'ends'}: heap ${each.heapMiB.toFixed(0)} MiB, database ${each.databaseKiB.toFixed(0)} KiB, node's disk ${each.nodeKiB.toFixed(0)} KiB`,
  );
console.log(`words of the hostile pilot that were counted: ${engine.state.vms.get(data.vmId)?.told ?? 0}`);
