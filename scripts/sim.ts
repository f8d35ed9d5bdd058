/**
 * Runs simulated lives on all processors and tells what they covered: `make sim SEEDS=1000`; one life with its trace: `SEED=17 scripts/sim`.
 */
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { startChild } from '../src/platform/children.ts';
import { systemClock } from '../src/platform/clock.ts';
import { openSqliteStore } from '../src/service/store/sqlite.ts';
import { type LifeReport, live } from '../test/sim/life.ts';

/** Seeds `first`, `first + step`, … below `end`. */
interface Share {
  readonly first: number;
  readonly step: number;
  readonly end: number;
}

const lifeOf = (seed: number): Promise<LifeReport> => live(seed, openSqliteStore({ directory: ':memory:' }));

/** A report as one line from a worker to us: without the trace, which only a single life shows. */
interface ReportLine extends Omit<LifeReport, 'history' | 'ends' | 'trace'> {
  readonly history: readonly (readonly [string, number])[];
  readonly ends: readonly (readonly [string, number])[];
}

function withoutMaps({ trace: _trace, history, ends, ...rest }: LifeReport): ReportLine {
  return { ...rest, history: [...history], ends: [...ends] };
}

async function work({ first, step, end }: Share): Promise<void> {
  for (let seed = first; seed < end; seed += step)
    console.log(JSON.stringify(withoutMaps(await lifeOf(seed))));
}

class Summary {
  readonly #history = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  readonly failed: number[] = [];
  #lives = 0;
  #steps = 0;

  add({ seed, steps, history, ends, failure }: ReportLine): void {
    this.#lives += 1;
    this.#steps += steps;
    for (const [type, times] of history) this.#history.set(type, (this.#history.get(type) ?? 0) + times);
    for (const [end, times] of ends) this.#ends.set(end, (this.#ends.get(end) ?? 0) + times);
    if (failure === undefined) return;
    this.failed.push(seed);
    if (this.failed.length <= 3) console.log(`seed ${seed} failed: ${failure}`);
  }

  print(tookMs: number): void {
    console.log(`history\n${table(this.#history)}\nends\n${table(this.#ends)}`);
    const { failed } = this;
    console.log(
      `${this.#lives} lives, ${this.#steps} steps, ${Math.round(tookMs)} ms, ${failed.length} failed`,
    );
    if (failed.length > 0) console.log(`run one again: SEED=${Math.min(...failed)} scripts/sim`);
  }
}

function table(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([name, times]) => `  ${String(times).padStart(8)}  ${name}`)
    .join('\n');
}

/** Resolves when a process of its own has lived through a share. Throws when it dies. */
async function share(summary: Summary, { first, step, end }: Share): Promise<void> {
  const child = await startChild(
    [process.execPath, ...process.execArgv, import.meta.filename, `${first}`, `${step}`, `${end}`],
    { stdio: ['ignore', 'pipe', 2] },
  );
  if (!child.stdout) throw new Error('a worker without standard output');
  for await (const line of createInterface({ input: child.stdout }))
    summary.add(JSON.parse(line) as ReportLine);
  const { code, signal } = await child.exited;
  if (code !== 0) throw new Error(`a worker ended with ${signal ?? code}`);
}

async function main(): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  const summary = new Summary();
  const one = process.env['SEED'];
  if (one === undefined) {
    const first = Number(process.env['FROM'] ?? 0);
    const end = first + Number(process.env['SEEDS'] ?? 1_000);
    const step = availableParallelism();
    const shares = Array.from({ length: step }, (_, offset) => ({ first: first + offset, step, end }));
    await Promise.all(shares.map(each => share(summary, each)));
  } else {
    const report = await lifeOf(Number(one));
    for (const line of report.trace) console.log(line);
    summary.add(withoutMaps(report));
  }
  summary.print(systemClock.monotonicMs() - startedMs);
  process.exitCode = summary.failed.length > 0 ? 1 : 0;
}

const [first, step, end] = process.argv.slice(2).map(Number);
await (first === undefined || step === undefined || end === undefined ? main() : work({ first, step, end }));
