/**
 * `make fuzz`: what is nearly a request, to the privileged helper's parser (REQUESTS) and to real
 * helpers (HELPER_REQUESTS), and what two users do with their helpers at once (SEQUENCES of
 * ROUNDS), from SEED on, which is printed. A fault is printed with what repeats it. Needs root.
 */
import { systemClock } from '../src/platform/clock.ts';
import { type BareNodes, quietNodes } from '../test/support/node.ts';
import { fuzzHelper } from '../test/fuzz/helper-lines.ts';
import { fuzzParser } from '../test/fuzz/parser.ts';
import { playSequence } from '../test/fuzz/sequence.ts';
import { helperOf } from '../test/fuzz/users.ts';

const { env } = process;
const seed = Number(env['SEED'] ?? systemClock.now() % 1_000_000_000);
const requests = Number(env['REQUESTS'] ?? 1_000_000);
const helperRequests = Number(env['HELPER_REQUESTS'] ?? Math.min(requests, 40_000));
const sequences = Number(env['SEQUENCES'] ?? 20);
const rounds = Number(env['ROUNDS'] ?? 15);
const faults: string[] = [];

async function timed(what: string, work: () => Promise<object> | object): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  const { faults: found = [], ...counts } = (await work()) as { faults?: readonly string[] };
  const seconds = ((systemClock.monotonicMs() - startedMs) / 1_000).toFixed(1);
  console.log(`${what}: ${JSON.stringify(counts)}, ${found.length} faults, ${seconds} s`);
  for (const fault of found) console.log(fault);
  faults.push(...found);
}

console.log(`SEED=${seed}`);
await timed(`${requests} requests to the parser`, () => fuzzParser(seed, requests));
const nodes = helperRequests + sequences > 0 ? await quietNodes() : undefined;
try {
  if (nodes && helperRequests > 0)
    await timed(`${helperRequests} requests to helpers`, () =>
      fuzzHelper(nodes, helperOf(nodes, 64_901, 'slot-fuzzaaaaaa'), seed, helperRequests),
    );
  if (nodes) await timed(`${sequences} sequences of two users`, () => play(nodes));
} finally {
  await nodes?.stop();
}
process.exitCode = faults.length === 0 ? 0 : 1;

/** One after another, up to the first that fails. */
async function play(where: BareNodes): Promise<object> {
  const sum = { yes: 0, no: 0, kills: 0 };
  for (let each = seed; each < seed + sequences; each += 1) {
    try {
      const tally = await playSequence(where, each, rounds);
      for (const key of ['yes', 'no', 'kills'] as const) sum[key] += tally[key];
    } catch (cause) {
      return { ...sum, faults: [String(cause)] };
    }
  }
  return sum;
}
