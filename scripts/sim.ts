/**
 * Runs simulated lives and tells what they covered: `make sim SEEDS=1000`, or one life with its trace: `SEED=17 scripts/sim`.
 */
import { systemClock } from '../src/platform/clock.ts';
import { openSqliteStore } from '../src/service/store/sqlite.ts';
import { live } from '../test/sim/life.ts';

const one = process.env['SEED'];
const seeds = Number(process.env['SEEDS'] ?? 1_000);
const first = Number(one ?? process.env['FROM'] ?? 0);
const startedMs = systemClock.monotonicMs();
const history = new Map<string, number>();
const ends = new Map<string, number>();
const failures: number[] = [];
let steps = 0;

for (let seed = first; seed < first + (one === undefined ? seeds : 1); seed++) {
  const report = await live(seed, openSqliteStore({ directory: ':memory:' }));
  steps += report.steps;
  for (const [type, times] of report.history) history.set(type, (history.get(type) ?? 0) + times);
  for (const [end, times] of report.ends) ends.set(end, (ends.get(end) ?? 0) + times);
  if (report.failure !== undefined) {
    failures.push(seed);
    if (failures.length <= 3) console.log(`seed ${seed} failed: ${report.failure}`);
  }
  if (one !== undefined) for (const line of report.trace) console.log(line);
}

const table = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([name, times]) => `  ${String(times).padStart(8)}  ${name}`)
    .join('\n');
console.log(`history\n${table(history)}\nends\n${table(ends)}`);
const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
console.log(
  `${one === undefined ? seeds : 1} lives, ${steps} steps, ${tookMs} ms, ${failures.length} failed`,
);
if (failures.length > 0) {
  console.log(`run one again: SEED=${failures[0]} scripts/sim`);
  process.exitCode = 1;
}
