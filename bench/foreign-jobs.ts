/**
 * `node --import tsx bench/foreign-jobs.ts [JOBS=2000]`: what others' jobs cost the Slurm adapter
 * and its service. It asks for the list, and for the service's answers, while others have no jobs
 * and while they have many: 100,000 that a stand-in for squeue knows, and JOBS of a real Slurm
 * whose service is an ordinary user. Prints medians and their ratios; the exit code is 1 when a
 * ratio is above 1.2.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lrm } from '../src/lrm/lrm.ts';
import { slurm } from '../src/lrm/slurm/slurm.ts';
import { systemClock } from '../src/platform/clock.ts';
import { systemProcesses } from '../src/platform/process.ts';
import type { SlurmCluster } from '../test/cluster/slurm.ts';
import { serviceLrm } from '../test/cluster/slurm-lrm.ts';
import { startSite, type TestSite } from '../test/support/site.ts';
import { machine, median, row } from './figures.ts';

const rounds = 21;
const most = 1.2;
/** So many are submitted by one command, which has a deadline. */
const atOnce = 50;
const jobs = Number(process.argv[2] ?? 2_000);
/** A lease of all processors of both nodes. */
const bothNodes = 'create --image mini --memory 128M --count 2 --cpus 2 --duration 1h'.split(' ');

console.log(machine());
const ratios = [await withStandIn(100_000), ...(await withSlurm(jobs))];
process.exitCode = ratios.every(ratio => ratio <= most) ? 0 : 1;

type Ask = () => Promise<unknown>;

/**
 * How long each takes, asked in turn: whatever else the machine does, it does to both.
 */
async function answers(without: Ask, with_: Ask): Promise<{ none: number[]; many: number[] }> {
  const took = { none: [] as number[], many: [] as number[] };
  const timed = async (ask: Ask, into: number[]): Promise<void> => {
    const from = systemClock.monotonicMs();
    await ask();
    into.push(systemClock.monotonicMs() - from);
  };
  for (let round = 0; round < rounds; round += 1) {
    await timed(without, took.none);
    await timed(with_, took.many);
  }
  return took;
}

/** Prints both, and returns how much longer the answer takes with others' jobs. */
async function compared(what: string, without: Ask, with_: Ask, count: number): Promise<number> {
  const { none, many } = await answers(without, with_);
  const ratio = median(many) / median(none);
  console.log(row(`${what}, no other jobs`, none));
  console.log(row(`${what}, ${count} jobs of others`, many));
  console.log(`${what}: ${ratio.toFixed(2)} × (at most ${most})`);
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
    const with_ = standIn(join(directory, 'many'), count);
    return await compared(
      'stand-in: the list',
      () => without.list(),
      () => with_.list(),
      count,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Two sites side by side, of which one has others' jobs; on both a lease runs and another waits,
 * so that both services ask their Slurm as often as they ever do.
 */
async function withSlurm(count: number): Promise<readonly number[]> {
  const sites: TestSite[] = [];
  try {
    for (let site = 0; site < 2; site += 1)
      sites.push(await startSite({ lrm: 'slurm', nodes: 2, vmm: { kind: 'sim' } }));
    const [without, with_] = sites as [TestSite, TestSite];
    for (const site of sites) {
      await site.json([...bothNodes, '--name', 'runs', '--wait']);
      await site.json([...bothNodes, '--name', 'waits']);
    }
    const cluster = with_.cluster as SlurmCluster;
    for (let left = count; left > 0; left -= atOnce) await cluster.foreignJobs(Math.min(left, atOnce));
    const listOf = (site: TestSite): Ask => {
      const lrm = serviceLrm(site.cluster as SlurmCluster);
      return () => lrm.list();
    };
    const apiOf = (site: TestSite): Ask => {
      const client = site.client();
      return () => client.listWorkspaces();
    };
    return [
      await compared('Slurm: the list', listOf(without), listOf(with_), count),
      await compared("the service's API: all workspaces", apiOf(without), apiOf(with_), count),
    ];
  } finally {
    await Promise.all(sites.map(site => site.stop()));
  }
}
