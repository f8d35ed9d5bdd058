import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** One user's wish: so many VMs at once, for as long as his work takes, which he can only guess. Times in seconds. */
export interface Wish {
  readonly id: number;
  readonly user: number;
  readonly submitS: number;
  readonly vms: number;
  /** How long the work takes once all VMs run. */
  readonly runS: number;
  /** How long he thinks that it takes: the lease that he asks for. */
  readonly guessS: number;
}

/** A seeded generator of numbers in [0, 1) (mulberry32), so that a table can be made again. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A trace in Standard Workload Format (Feitelson: field 2 submit, 4 run time, 5 processors, 12 user, all others unused; `;` begins a comment), gzipped or not.
 * Throws when a line is not of that form.
 */
export function readSwf(path: string, seed: number): readonly Wish[] {
  const bytes = readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  const random = dice(seed);
  return text.split('\n').flatMap((line, index): Wish[] => {
    if (line.trim() === '' || line.startsWith(';')) return [];
    const fields = line.trim().split(/\s+/).map(Number);
    const [id, submitS, , runS, vms] = fields;
    if ([id, submitS, runS, vms].some(value => value === undefined || Number.isNaN(value)))
      throw new Error(`${path}:${index + 1} is no line in Standard Workload Format`);
    if (!runS || !vms || runS < 1 || vms < 1) return [];
    return [
      { id: id ?? 0, user: fields[11] ?? 0, submitS: submitS ?? 0, vms, runS, guessS: guess(runS, random) },
    ];
  });
}

/**
 * What users ask for: four in five leave room, up to three times what they need; one in five has underestimated, by up to a third. (Real requests are worse still:
 * Mu'alem and Feitelson, 2001.) At least a minute.
 */
function guess(runS: number, random: () => number): number {
  const factor = random() < 0.8 ? 1 + 2 * random() : 0.67 + 0.33 * random();
  return Math.max(60, Math.round(runS * factor));
}

/** As many as use a cluster of a hundred nodes in a month, in the traces of the Parallel Workloads Archive. */
const users = 64;

/**
 * A synthetic workload: sizes and run times after Lublin and Feitelson, "The workload on parallel supercomputers: modeling the characteristics of rigid jobs" (2003;
 * parameters of their batch model), arrivals Poisson, as many an hour as give the offered load on `nodes` nodes. The model has no users: each request is of one of
 * `users`, all alike.
 */
export function lublin(count: number, nodes: number, load: number, seed: number): readonly Wish[] {
  const random = dice(seed);
  const whose = dice(seed + 1);
  const jobs = Array.from({ length: count }, () => {
    const vms = sizeOf(nodes, random);
    return { vms, runS: runTimeOf(vms, random) };
  });
  const work = jobs.reduce((sum, { vms, runS }) => sum + vms * runS, 0);
  const meanGapS = work / (nodes * load) / count;
  let submitS = 0;
  return jobs.map(({ vms, runS }, id) => {
    submitS += -Math.log(1 - random()) * meanGapS;
    const user = Math.floor(whose() * users);
    return { id, user, submitS, vms, runS, guessS: guess(runS, random) };
  });
}

/** Serial with probability 0.244; else two-stage uniform in the logarithm, a power of two with probability 0.576. */
function sizeOf(nodes: number, random: () => number): number {
  if (random() < 0.244) return 1;
  const high = Math.log2(nodes);
  const [low, middle] = [0.8, high - 2.5];
  const log = random() < 0.86 ? low + random() * (middle - low) : middle + random() * (high - middle);
  const size = random() < 0.576 ? 2 ** Math.round(log) : Math.round(2 ** log);
  return Math.min(nodes, Math.max(1, size));
}

/** Hyper-gamma in the natural logarithm; larger jobs are longer. At most two days. */
function runTimeOf(vms: number, random: () => number): number {
  const p = Math.min(1, Math.max(0, -0.0054 * vms + 0.78));
  const log = random() < p ? gamma(4.2, 0.94, random) : gamma(312, 0.03, random);
  return Math.max(1, Math.round(Math.min(172_800, Math.exp(log))));
}

/** Marsaglia and Tsang (2000), for shapes of at least 1. */
function gamma(shape: number, scale: number, random: () => number): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const v = (1 + c * normal) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * normal ** 2 + d - d * v + d * Math.log(v))
      return d * v * scale;
  }
}
