/**
 * `node --import tsx bench/history.ts [WORKSPACES]`: what a long past costs a service: a create, an
 * order, memory and a start with so many workspaces that have ended, against a service where nothing
 * has happened yet. The real engine and SQLite store on disk; the scheduler has no nodes, so that all
 * that is created waits.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeLrm } from '../test/support/engine.ts';
import { engineOptions } from '../test/sim/site.ts';
import { pause, systemClock } from '../src/platform/clock.ts';
import { silentLog } from '../src/platform/log.ts';
import { systemProcesses } from '../src/platform/process.ts';
import { systemRandom } from '../src/platform/random.ts';
import type { Engine } from '../src/service/core/engine-api.ts';
import { createEngine } from '../src/service/core/engine.ts';
import { openSqliteStore } from '../src/service/store/sqlite.ts';
import { machine, median, row } from './figures.ts';
import { fill } from './history-data.ts';

const rounds = 5;
const creates = 200;

/** What one life of a service has cost. */
interface Measured {
  readonly startMs: number;
  readonly heapMiB: number;
  readonly residentMiB: number;
  readonly createMs: readonly number[];
  readonly orderMs: readonly number[];
  readonly listMs: number;
  readonly usageMs: number;
}

function makeEngine(directory: string): Engine {
  const parts = { clock: systemClock, random: systemRandom, log: silentLog };
  const options = engineOptions(
    { ...parts, store: openSqliteStore({ directory }), lrm: new FakeLrm() },
    { kind: 'exact' },
    'wait',
  );
  const networks = [{ name: 'private', firstAddress: '10.90.0.1', lastAddress: '10.90.255.254', vnis: null }];
  const lease = { ...options.lease, networks, submitTimeoutMs: 86_400_000 };
  return createEngine({ ...options, lease });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = systemClock.monotonicMs();
  await work();
  return systemClock.monotonicMs() - began;
}

function memoryMiB(): { readonly heapMiB: number; readonly residentMiB: number } {
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapMiB: (heapUsed + external) / 2 ** 20, residentMiB: rss / 2 ** 20 };
}

const group = { name: 'vm', image: 'mini', count: 1, memoryMiB: 256, cpus: 1, networks: ['private'] };

async function measure(directory: string): Promise<Measured> {
  let engine: Engine | undefined;
  const startMs = await timed(async () => {
    engine = makeEngine(directory);
    await engine.start();
  });
  if (!engine) throw new Error('not started');
  const running = engine;
  const memory = memoryMiB();
  const ids: string[] = [];
  const createMs: number[] = [];
  const orderMs: number[] = [];
  for (let left = creates; left > 0; left--)
    createMs.push(
      await timed(async () => {
        const { id } = await running.workspaces.create('ann', {
          groups: [group],
          clientToken: `${process.pid}-${left}`,
        });
        ids.push(id);
      }),
    );
  for (const id of ids) orderMs.push(await timed(() => running.workspaces.destroy(id, 'ann')));
  const listMs = await timed(() => running.list({ owner: 'ann', limit: 1_000 }));
  const usageMs = await timed(() => running.pastUse(0, systemClock.now(), []));
  await running.stop();
  return { startMs, ...memory, createMs, orderMs, listMs, usageMs };
}

/** The first start with a past that was never retired, as after an upgrade: how long until all of it is. */
async function retireAll(directory: string): Promise<number> {
  const engine = makeEngine(directory);
  const ms = await timed(async () => {
    await engine.start();
    while (engine.state.workspaces.size > 0) await pause(systemClock, 50);
  });
  await engine.stop();
  return ms;
}

/** Another process, so that what this one has had in memory does not count. */
async function inProcess(what: 'measure' | 'retire', directory: string): Promise<unknown> {
  const program = ['--expose-gc', '--import', 'tsx', import.meta.filename];
  const { code, stdout, stderr } = await systemProcesses.run(
    [process.execPath, ...program, what, directory],
    { deadlineMs: 600_000 },
  );
  if (code !== 0) throw new Error(`the measured process failed: ${stderr}`);
  return JSON.parse(stdout);
}

async function report(workspaces: number): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'wsp-history-'));
  const [empty, full] = [join(home, 'empty'), join(home, 'full')];
  try {
    console.log(
      `${workspaces} workspaces that have ended, on one machine: ${machine()}, Node ${process.version}`,
    );
    fill(full, workspaces);
    const mebibytes = Math.round(statSync(join(full, 'wsp.db')).size / 2 ** 20);
    const first = (await inProcess('retire', full)) as number;
    console.log(`database ${mebibytes} MiB; all of it retired ${Math.round(first)} ms after its first start`);
    const all: { readonly empty: Measured; readonly full: Measured }[] = [];
    for (let left = rounds; left > 0; left--)
      all.push({
        empty: (await inProcess('measure', empty)) as Measured,
        full: (await inProcess('measure', full)) as Measured,
      });
    compare('create', all, ({ createMs }) => median(createMs));
    compare('order (destroy)', all, ({ orderMs }) => median(orderMs));
    const of = (which: 'empty' | 'full', figure: (one: Measured) => number): readonly number[] =>
      all.map(round => figure(round[which]));
    const more = (figure: (one: Measured) => number): string =>
      (median(of('full', figure)) - median(of('empty', figure))).toFixed(1);
    console.log(
      `memory: ${more(one => one.heapMiB)} MiB more on the heap, ${more(one => one.residentMiB)} MiB resident (goal: 20)`,
    );
    console.log(
      row(
        'start, with it (goal: 1500 ms)',
        of('full', one => one.startMs),
      ),
    );
    console.log(
      row(
        'start, without',
        of('empty', one => one.startMs),
      ),
    );
    console.log(
      row(
        'a page of 1,000 ended workspaces',
        of('full', one => one.listMs),
      ),
    );
    console.log(
      row(
        'use of all of them',
        of('full', one => one.usageMs),
      ),
    );
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function compare(
  name: string,
  all: readonly { readonly empty: Measured; readonly full: Measured }[],
  figure: (one: Measured) => number,
): void {
  const [without, having] = [all.map(({ empty }) => figure(empty)), all.map(({ full }) => figure(full))];
  const ratio = median(having) / median(without);
  console.log(
    `${name}: median ${median(having).toFixed(2)} ms, without a past ${median(without).toFixed(2)} ms, ratio ${ratio.toFixed(2)} (goal: 1.10)`,
  );
}

const [what = '100000', directory = ''] = process.argv.slice(2);
if (what === 'measure') process.stdout.write(JSON.stringify(await measure(directory)));
else if (what === 'retire') process.stdout.write(JSON.stringify(await retireAll(directory)));
else await report(Number(what));
process.exit(0);
