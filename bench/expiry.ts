/**
 * `node --import tsx bench/expiry.ts [LEASES]`: how punctually leases end that all end at the same moment. The real core, writer, SQLite store on disk, outbox, hub and pilot
 * sessions, in real time; the nodes, their VMs and the scheduler are simulated in this process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause, systemClock } from '../src/platform/clock.ts';
import { silentLog } from '../src/platform/log.ts';
import { systemRandom } from '../src/platform/random.ts';
import { createEngine } from '../src/service/core/engine.ts';
import type { Engine } from '../src/service/core/engine-api.ts';
import { openSqliteStore } from '../src/service/store/sqlite.ts';
import { newCounts } from '../test/sim/coverage.ts';
import { Dice } from '../test/sim/dice.ts';
import { Faults, noTroubles } from '../test/sim/faults.ts';
import { SimLrm } from '../test/sim/lrm.ts';
import { SimNode } from '../test/sim/node.ts';
import { pilotLauncher } from '../test/sim/pilot.ts';
import { Witness } from '../test/sim/witness.ts';
import { engineOptions } from '../test/sim/site.ts';
import { machine, median } from './figures.ts';

const leases = Number(process.argv[2] ?? 1_000);
const directory = mkdtempSync(join(tmpdir(), 'wsp-expiry-'));

/** Nothing goes wrong by chance. */
class CalmDice extends Dice {
  override chance(): boolean {
    return false;
  }
}

function makeEngine(): Engine {
  const dice = new CalmDice(1);
  const nodes = Array.from({ length: leases }, (_, index) => new SimNode(`n${index}`));
  const faults = new Faults(0, dice, newCounts());
  const launch = pilotLauncher({
    clock: systemClock,
    dice,
    faults,
    aheadMs: () => 0,
    nodeLost: () => undefined,
    troubles: noTroubles,
    hub: () => engine.pilots,
    serves: () => true,
    acknowledged: () => undefined,
    tellsTime: () => true,
    left: what => {
      throw new Error(what);
    },
    linked: () => undefined,
    partedUntil: () => 0,
    witness: new Witness(what => {
      throw new Error(what);
    }),
    duplicates: 0,
  });
  const options = engineOptions(
    {
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      store: openSqliteStore({ directory }),
      lrm: new SimLrm(nodes, systemClock, dice, faults, launch),
    },
    { kind: 'exact' },
    'wait',
  );
  const network = { name: 'private', firstAddress: '10.90.0.1', lastAddress: '10.90.255.254', vnis: null };
  const lease = { ...options.lease, networks: [network], endNoticesMs: [] };
  const key = { privateKey: 'none', publicKey: 'ssh-ed25519 none' };
  const engine = createEngine({ ...options, lease, makeKeyPair: () => key });
  return engine;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = systemClock.monotonicMs() + 300_000;
  while (!isSo()) {
    if (systemClock.monotonicMs() > deadline) throw new Error(`${what} did not come about`);
    await pause(systemClock, 100);
  }
}

const all = (engine: Engine) => [...engine.state.workspaces.values()];

/** Leases that run, and that all end at the moment that is returned (milliseconds since the epoch). */
async function leasesEndingTogether(engine: Engine): Promise<number> {
  const group = { name: 'vm', image: 'mini', count: 1, memoryMiB: 256, cpus: 1, networks: ['private'] };
  await Promise.all(
    Array.from({ length: leases }, () =>
      engine.workspaces.create('ann', { groups: [group], durationMs: 120_000 }),
    ),
  );
  await until('all leases running', () => all(engine).every(({ state }) => state === 'running'));
  const latest = Math.max(...all(engine).map(({ endsAt }) => endsAt ?? 0));
  await Promise.all(
    all(engine).map(({ id, endsAt }) => engine.workspaces.extend(id, 'ann', latest + 1 - (endsAt ?? 0))),
  );
  return latest + 1;
}

/** When each workspace's end became durable: a commit has been stored when its listeners are called. */
function endings(engine: Engine): ReadonlyMap<string, number> {
  const endedAt = new Map<string, number>();
  engine.onEvents(() => {
    const now = systemClock.now();
    for (const { id, state } of all(engine)) if (state === 'ended' && !endedAt.has(id)) endedAt.set(id, now);
  });
  return endedAt;
}

const engine = makeEngine();
await engine.start();
const endsAt = await leasesEndingTogether(engine);
const endedAt = endings(engine);
await until('all leases ended', () => endedAt.size === leases);
const lateMs = [...endedAt.values()].map(at => at - endsAt).sort((a, b) => a - b);
console.log(`${lateMs.length} leases that end together, on one machine: ${machine()}`);
console.log(
  `over after their end, durably: median ${median(lateMs)} ms, ${lateMs[0]} to ${lateMs.at(-1)} ms`,
);
const graceful = all(engine).filter(({ cause }) => cause === 'expired').length;
console.log(`${graceful} of them expired in order`);
await engine.stop();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
