/**
 * `node --import tsx bench/foreign-jobs.ts [JOBS=2000]`: what others' jobs cost the Slurm adapter.
 * It asks for its list while others have no jobs and while they have many: 100,000 that a
 * stand-in for squeue knows, and JOBS of a real Slurm whose service is an ordinary user. Prints
 * medians and their ratios; the exit code is 1 when a ratio is above 1.2.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lrm } from '../src/lrm/lrm.ts';
import { slurm } from '../src/lrm/slurm/slurm.ts';
import { systemClock } from '../src/platform/clock.ts';
import { systemProcesses } from '../src/platform/process.ts';
import { type SlurmCluster, startSlurm } from '../test/cluster/slurm.ts';
import { serviceLrm } from '../test/cluster/slurm-lrm.ts';
import { machine, median, row } from './figures.ts';

const rounds = 21;
const most = 1.2;
/** So many are submitted by one command, which has a deadline. */
const atOnce = 50;
const jobs = Number(process.argv[2] ?? 2_000);

console.log(machine());
const ratios = [await withStandIn(100_000), await withSlurm(jobs)];
process.exitCode = ratios.every(ratio => ratio <= most) ? 0 : 1;

/**
 * How long each takes for its list, asked in turn: whatever else the machine does, it does to both.
 */
async function lists(without: Lrm, with_: Lrm): Promise<{ none: number[]; many: number[] }> {
  const took = { none: [] as number[], many: [] as number[] };
  const timed = async (lrm: Lrm, into: number[]): Promise<void> => {
    const from = systemClock.monotonicMs();
    await lrm.list();
    into.push(systemClock.monotonicMs() - from);
  };
  for (let round = 0; round < rounds; round += 1) {
    await timed(without, took.none);
    await timed(with_, took.many);
  }
  return took;
}

/** Prints both, and returns how much longer the list takes with others' jobs. */
async function compared(where: string, without: Lrm, with_: Lrm, count: number): Promise<number> {
  const { none, many } = await lists(without, with_);
  const ratio = median(many) / median(none);
  console.log(row(`${where}: the list, no other jobs`, none));
  console.log(row(`${where}: the list, ${count} jobs of others`, many));
  console.log(`${where}: ${ratio.toFixed(2)} × (at most ${most})`);
  return ratio;
}

/** As squeue does, it prints everybody's jobs to whoever does not name a user. */
function standIn(directory: string, others: number): Lrm {
  const line = (id: number, uid: number, name: string): string =>
    [id, uid, 'PENDING', 'Priority', 'N/A', 'N/A', 'N/A', '', name, '(null)', ''].join('|');
  const all = [
    'JOBID|USER|STATE|REASON|START|END|PREEMPT|NODELIST|NAME|COMMENT|',
    line(1, process.getuid?.() ?? 0, 'wsp-slot-aaaaaaaaaa'),
    ...Array.from({ length: others }, (_, n) => line(n + 2, 4_711, 'lattice-qcd')),
  ];
  mkdirSync(directory);
  writeFileSync(join(directory, 'jobs'), `${all.join('\n')}\n`);
  const squeue = `#!/bin/sh
for last; do :; done
case "$*" in *--user=*) head -n 2 '${directory}/jobs' ;; *) cat '${directory}/jobs' ;; esac | sed "s/|/\${last##*:}/g"
`;
  writeFileSync(join(directory, 'squeue'), squeue, { mode: 0o755 });
  return slurm({ binDir: directory }, systemProcesses);
}

async function withStandIn(count: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-foreign-'));
  try {
    const without = standIn(join(directory, 'none'), 0);
    return await compared('stand-in', without, standIn(join(directory, 'many'), count), count);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Two Slurms side by side, of which one has others' jobs. */
async function withSlurm(count: number): Promise<number> {
  const clusters = [await startSlurm({ nodes: 2 })];
  try {
    clusters.push(await startSlurm({ nodes: 2 }));
    const [without, with_] = clusters as [SlurmCluster, SlurmCluster];
    for (let left = count; left > 0; left -= atOnce) await with_.foreignJobs(Math.min(left, atOnce));
    return await compared('Slurm', serviceLrm(without), serviceLrm(with_), count);
  } finally {
    await Promise.all(clusters.map(cluster => cluster.stop()));
  }
}
