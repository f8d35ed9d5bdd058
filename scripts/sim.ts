/**
 * Runs simulated lives on all processors and tells what they covered: `make sim SEEDS=1000`; one life with its trace: `SEED=17 scripts/sim`. Fails when a life
 * does, and when a thousand lives or more have not taken every transition and died at every crash point.
 */
import { systemClock } from '../src/platform/clock.ts';
import { lifeOf, runLives, work } from '../test/sim/workers.ts';

/** Failures are told in full up to so many. */
const mostTold = 3;

async function one(seed: number): Promise<boolean> {
  const { trace, failure, steps } = await lifeOf(seed);
  for (const line of trace) console.log(line);
  console.log(`seed ${seed}: ${steps} steps, ${failure === undefined ? 'all invariants held' : failure}`);
  return failure === undefined;
}

async function many(first: number, count: number): Promise<boolean> {
  const startedMs = systemClock.monotonicMs();
  const { tally, failures } = await runLives(first, count);
  for (const line of tally.lines()) console.log(line);
  for (const [seed, failure] of [...failures].slice(0, mostTold))
    console.log(`seed ${seed} failed: ${failure}`);
  const [seed] = [...failures.keys()].toSorted((left, right) => left - right);
  if (seed !== undefined) console.log(`run one again: SEED=${seed} scripts/sim`);
  for (const step of tally.illegal()) console.log(`not in the tables: ${step}`);
  console.log(`${Math.round(systemClock.monotonicMs() - startedMs)} ms, ${failures.size} failed`);
  const covered = !tally.isEnough || tally.missing().length === 0;
  return failures.size + tally.illegal().length === 0 && covered;
}

const [first, step, end] = process.argv.slice(2).map(Number);
if (first !== undefined && step !== undefined && end !== undefined) {
  await work({ first, step, end });
} else {
  const { SEED: seed, FROM: from = '0', SEEDS: seeds = '1000' } = process.env;
  const ok = await (seed === undefined ? many(Number(from), Number(seeds)) : one(Number(seed)));
  process.exitCode = ok ? 0 : 1;
}
