/**
 * Runs simulated lives on all processors and tells what they covered: `make sim SEEDS=1000`; one life with its trace: `SEED=17 scripts/sim`.
 */
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { startChild } from '../src/platform/children.ts';
import { systemClock } from '../src/platform/clock.ts';
import { openSqliteStore } from '../src/service/store/sqlite.ts';
import { type CountName, Tally } from '../test/sim/coverage.ts';
import { type LifeReport, live } from '../test/sim/life.ts';

/** Seeds `first`, `first + step`, … below `end`. */
interface Share {
  readonly first: number;
  readonly step: number;
  readonly end: number;
}

const lifeOf = (seed: number): Promise<LifeReport> => live(seed, openSqliteStore({ directory: ':memory:' }));

/** A report as one line from a worker to us: without the trace, which only a single life shows. */
interface ReportLine extends Pick<LifeReport, 'seed' | 'steps' | 'failure'> {
  readonly counts: Readonly<Record<CountName, readonly (readonly [string, number])[]>>;
}

function lineOf({ seed, steps, failure, counts }: LifeReport): string {
  const { history, ends, faults, crashes, transitions } = counts;
  const lists = {
    history: [...history],
    ends: [...ends],
    faults: [...faults],
    crashes: [...crashes],
    transitions: [...transitions],
  };
  const line: ReportLine = { seed, steps, counts: lists, ...(failure === undefined ? {} : { failure }) };
  return JSON.stringify(line);
}

async function work({ first, step, end }: Share): Promise<void> {
  for (let seed = first; seed < end; seed += step) console.log(lineOf(await lifeOf(seed)));
}

class Summary {
  readonly tally = new Tally();
  readonly failed: number[] = [];

  add(line: string): void {
    const { seed, steps, counts, failure } = JSON.parse(line) as ReportLine;
    const { history, ends, faults, crashes, transitions } = counts;
    const maps = {
      history: new Map(history),
      ends: new Map(ends),
      faults: new Map(faults),
      crashes: new Map(crashes),
      transitions: new Map(transitions),
    };
    this.tally.add({ steps, counts: maps });
    if (failure === undefined) return;
    this.failed.push(seed);
    if (this.failed.length <= 3) console.log(`seed ${seed} failed: ${failure}`);
  }

  print(tookMs: number): void {
    for (const line of this.tally.lines()) console.log(line);
    const { failed } = this;
    console.log(`${Math.round(tookMs)} ms, ${failed.length} failed`);
    if (failed.length > 0) console.log(`run one again: SEED=${Math.min(...failed)} scripts/sim`);
  }

  /** No life failed, none did what the tables do not have, and, if they were enough, nothing was missed. */
  get ok(): boolean {
    const { tally, failed } = this;
    return failed.length + tally.illegal().length === 0 && (!tally.isEnough || tally.missing().length === 0);
  }
}

/** Resolves when a process of its own has lived through a share. Throws when it dies. */
async function share(summary: Summary, { first, step, end }: Share): Promise<void> {
  const child = await startChild(
    [process.execPath, ...process.execArgv, import.meta.filename, `${first}`, `${step}`, `${end}`],
    { stdio: ['ignore', 'pipe', 2] },
  );
  if (!child.stdout) throw new Error('a worker without standard output');
  for await (const line of createInterface({ input: child.stdout })) summary.add(line);
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
    summary.add(lineOf(report));
  }
  summary.print(systemClock.monotonicMs() - startedMs);
  process.exitCode = summary.ok ? 0 : 1;
}

const [first, step, end] = process.argv.slice(2).map(Number);
await (first === undefined || step === undefined || end === undefined ? main() : work({ first, step, end }));
