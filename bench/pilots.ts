/**
 * Submit → all pilots `reserved`, against the floor `srun -N16 node -e 0` on the same private Slurm, in turn in one run; medians.
 * Usage: node --import tsx bench/pilots.ts [NODES=16] [ROUNDS=10]. Needs root and `make setup`.
 */
import { systemClock } from '../src/platform/clock.ts';
import type { WorkspaceView } from '../src/protocol/api.ts';
import { startSite } from '../test/support/site.ts';
import { machine, median, row } from './figures.ts';

const nodes = Number(process.argv[2] ?? 16);
const rounds = Number(process.argv[3] ?? 10);

const site = await startSite({
  lrm: 'slurm',
  nodes,
  slurm: { limitCores: false },
  vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '10ms' },
});
const floorMs: number[] = [];
const reservedMs: number[] = [];
try {
  const { cluster } = site;
  if (!cluster) throw new Error('no Slurm');
  for (let round = 0; round < rounds; round += 1) {
    await cluster.untilIdle();
    const startedMs = systemClock.monotonicMs();
    const floor = await cluster.run(['srun', '-p', 'batch', `-N${nodes}`, 'node', '-e', '0']);
    if (floor.code !== 0) throw new Error(`srun: ${floor.stderr}`);
    floorMs.push(systemClock.monotonicMs() - startedMs);

    await cluster.untilIdle();
    const workspace = await site.json<WorkspaceView>([
      'create',
      '--image',
      'mini',
      '--count',
      String(nodes),
      '--memory',
      '128M',
      '--wait',
    ]);
    const { events } = await site.client().events({ workspace: workspace.id, limit: 1_000 });
    const at = (type: string): number[] =>
      events.filter(event => event.type === type).map(event => Date.parse(event.recordedAt));
    const reserved = at('node.reserved');
    if (reserved.length !== nodes) throw new Error(`${reserved.length} of ${nodes} nodes reserved`);
    reservedMs.push(Math.max(...reserved) - Math.min(...at('workspace.requested')));
    await site.json(['destroy', workspace.id, '--wait']);
  }
} finally {
  await site.stop();
}
const [floor, ours] = [median(floorMs), median(reservedMs)];
console.log(`${nodes} nodes on one machine: ${machine()}, ${rounds} rounds`);
console.log(row(`srun -N${nodes} node -e 0`, floorMs));
console.log(row('create → all pilots reserved', reservedMs));
console.log(`ratio ${(ours / floor).toFixed(2)}`);
