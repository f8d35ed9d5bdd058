/**
 * kill-all on a node full of running guests: how long until nothing of them is left there.
 * Usage: node --import tsx bench/kill-all.ts [VMS=8] [ROUNDS=10]. Needs root and `make setup`; real guests, on a real Slurm with one node.
 */
import { systemClock } from '../src/platform/clock.ts';
import { systemProcesses } from '../src/platform/process.ts';
import type { WorkspaceView } from '../src/protocol/api.ts';
import type { SlurmCluster } from '../test/cluster/slurm.ts';
import { killAllArgv } from '../test/crash/kill.ts';
import { startSite } from '../test/support/site.ts';
import { machine, row } from './figures.ts';

const vms = Number(process.argv[2] ?? 8);
const rounds = Number(process.argv[3] ?? 10);

const site = await startSite({
  lrm: 'slurm',
  nodes: 1,
  slurm: { sizes: [{ cpus: vms, memoryMiB: vms * 400 }] },
  more: { policy: { kind: 'pack', vmsPerNode: vms } },
});
const tookMs: number[] = [];
try {
  const place = { site, cluster: site.cluster as SlurmCluster, index: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const create = ['create', '--image', 'mini', '--memory', '160M', '--count', String(vms)];
    const made = await site.json<WorkspaceView>([...create, '--wait', '--timeout', '5m'], 310_000);
    const began = systemClock.monotonicMs();
    const done = await systemProcesses.run(killAllArgv(place), { deadlineMs: 30_000 });
    tookMs.push(systemClock.monotonicMs() - began);
    if (done.code !== 0) throw new Error(`kill-all: exit ${done.code}: ${done.stdout}${done.stderr}`);
    await site.json(['wait', made.id, '--for', 'ended', '--timeout', '110s'], 120_000);
    await site.cluster?.untilIdle();
    const left = await site.leftovers();
    if (left.length > 0) throw new Error(`left: ${left.join('; ')}`);
  }
} finally {
  await site.stop();
}
console.log(`${vms} guests on one node, ${rounds} rounds, ${machine()}`);
console.log(row('kill-all, start of the program to its end', tookMs));
