import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { startChild } from '../../src/platform/children.ts';
import { openSqliteStore } from '../../src/service/store/sqlite.ts';
import { type CountName, Tally } from './coverage.ts';
import { type LifeReport, live } from './life.ts';

/** Many lives at once: a process of its own for each processor. */

/** One life on a store of its own. */
export function lifeOf(seed: number): Promise<LifeReport> {
  return live(seed, openSqliteStore({ directory: ':memory:' }));
}

/** Seeds `first`, `first + step`, … below `end`. */
interface Share {
  readonly first: number;
  readonly step: number;
  readonly end: number;
}

/** A report as one line from a worker to us: without the trace, which only a single life shows. */
interface ReportLine extends Pick<LifeReport, 'seed' | 'steps' | 'failure'> {
  readonly counts: Readonly<Record<CountName, readonly (readonly [string, number])[]>>;
}

/** What a worker does: lives through a share, and prints a line for each life. */
export async function work({ first, step, end }: Share): Promise<void> {
  for (let seed = first; seed < end; seed += step) console.log(lineOf(await lifeOf(seed)));
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

/** What became of many lives. */
export interface Outcome {
  readonly tally: Tally;
  /** By seed. */
  readonly failures: ReadonlyMap<number, string>;
}

/** Lives through so many seeds from `first` on. Throws when a worker dies. */
export async function runLives(first: number, count: number): Promise<Outcome> {
  const tally = new Tally();
  const failures = new Map<number, string>();
  const add = (text: string): void => {
    const { seed, steps, counts, failure } = JSON.parse(text) as ReportLine;
    tally.add({
      steps,
      counts: {
        history: new Map(counts.history),
        ends: new Map(counts.ends),
        faults: new Map(counts.faults),
        crashes: new Map(counts.crashes),
        transitions: new Map(counts.transitions),
      },
    });
    if (failure !== undefined) failures.set(seed, failure);
  };
  const step = availableParallelism();
  const end = first + count;
  await Promise.all(
    Array.from({ length: step }, (_, offset) => runShare({ first: first + offset, step, end }, add)),
  );
  return { tally, failures };
}

async function runShare({ first, step, end }: Share, heard: (line: string) => void): Promise<void> {
  const worker = join(import.meta.dirname, '..', '..', 'scripts', 'sim.ts');
  const node = [process.execPath, '--max-semi-space-size=32', '--import', 'tsx'] as const;
  const child = await startChild([...node, worker, `${first}`, `${step}`, `${end}`], {
    stdio: ['ignore', 'pipe', 2],
  });
  if (!child.stdout) throw new Error('a worker without standard output');
  for await (const line of createInterface({ input: child.stdout })) heard(line);
  const { code, signal } = await child.exited;
  if (code !== 0) throw new Error(`a worker ended with ${signal ?? code}`);
}
