/**
 * The LRM takes nodes back: from the first sign of it at the slot (the warning signal that a pilot gets; an order of the service, for a node that is drained; a pilot that goes because
 * its job's end is near), how long until the guest of every node is told to shut down, until every guest is off, and until every node is as it was. A trial holds when all guests went by
 * themselves within half of the grace time, all nodes were restored within the whole, and nothing is left.
 * Usage: node --import tsx bench/preemption.ts [NODES=16] [TRIALS=100] [VMM=sim|qemu] [HOW=preempt|scancel|walltime|drain|down|qdel]. Needs root and `make setup`.
 *
 * preempt: a job of a higher partition with GraceTime. walltime: the job is given an end that is so near that pilots go by themselves. drain: `leases.drain: leave`. down: the node is declared down.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { pause, systemClock } from '../src/platform/clock.ts';
import type { SlotView, WorkspaceView } from '../src/protocol/api.ts';
import type { PilotNotification } from '../src/protocol/pilot.ts';
import { startSite, type TestSite } from '../test/support/site.ts';
import { machine, median, row } from './figures.ts';

const nodes = Number(process.argv[2] ?? 16);
const trials = Number(process.argv[3] ?? 100);
const vmm = process.argv[4] ?? 'sim';
const how = process.argv[5] ?? 'preempt';
/** GraceTime of the test cluster's partition, KillWait, `notify` of its queue: all the same. */
const graceMs = 10_000;
/** Within which a guest should be told, in the median of all nodes. */
const goalMs = 50;
/** An end of walltime is not a preemption. */
const expectedCause = how === 'walltime' ? 'expired' : 'preempted';

interface Trial {
  readonly toldMs: readonly number[];
  readonly offMs: readonly number[];
  readonly restoredMs: readonly number[];
  readonly troubles: readonly string[];
}

/** What pilots reported, from their own journals: kept open, because the nodes are cleaned up. */
function openJournals(site: TestSite, slotId: string): readonly number[] {
  return (site.cluster?.nodes ?? []).map(({ name }) =>
    openSync(join(site.workDir, name, slotId, 'notifications.jsonl'), 'r'),
  );
}

function readJournal(fd: number): readonly PilotNotification[] {
  const buffer = Buffer.alloc(fstatSync(fd).size);
  readSync(fd, buffer, 0, buffer.length, 0);
  closeSync(fd);
  return buffer
    .toString('utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as PilotNotification);
}

async function take(site: TestSite, jobId: string): Promise<string | undefined> {
  const { cluster } = site;
  switch (how) {
    case 'preempt': {
      const urgent = ['sbatch', '--parsable', '-p', 'urgent', `--nodes=${nodes}`, '--exclusive'] as const;
      const job = await cluster?.run(
        [...urgent, '--chdir=/', '--output=/dev/null'],
        '#!/bin/sh\nsleep 600\n',
      );
      return job?.stdout.trim();
    }
    case 'walltime':
      await must(site, ['scontrol', 'update', `jobid=${jobId}`, 'endtime=now+16']);
      await startWaiting(site);
      return undefined;
    case 'drain':
    case 'down':
      await must(site, ['scontrol', 'update', `nodename=${someNode(site)}`, `state=${how}`, 'reason=bench']);
      await startWaiting(site);
      return undefined;
    case 'scancel':
    case 'qdel':
      await cluster?.endJob(jobId);
      return undefined;
    default:
      throw new Error(`HOW is ${how}: one of preempt, scancel, walltime, drain, down, qdel is needed`);
  }
}

function someNode({ cluster }: TestSite): string {
  return cluster?.nodes.at(-1)?.name ?? '';
}

/** A lease that waits for the nodes, of which it wants all processors: a service that somebody waits for looks at a scheduler every second, else every 15 s. */
async function startWaiting(site: TestSite): Promise<void> {
  const size = ['--count', String(nodes), '--cpus', '2', '--memory', '128M', '--duration', '5m'];
  await site.json<WorkspaceView>(['create', '--name', 'waiting', '--image', 'mini', ...size]);
}

async function stopWaiting(site: TestSite): Promise<void> {
  const client = site.client();
  for (const { id } of await client.listWorkspaces()) await client.destroyWorkspace(id);
}

async function must({ cluster }: TestSite, argv: readonly [string, ...string[]]): Promise<void> {
  const done = await cluster?.run(argv);
  if (done?.code !== 0) throw new Error(`${argv.join(' ')}: ${done?.stderr}`);
}

/** When the service recorded that the slot is taken back. */
async function preemptedAt(site: TestSite, workspace: string): Promise<number> {
  const { events } = await site.client().events({ workspace, limit: 1_000 });
  return Date.parse(events.find(({ type }) => type === 'slot.preempting')?.at ?? '');
}

/** What is still left when the scheduler has had its time to be done with the job. */
async function leftAfter(site: TestSite, deadlineMs: number): Promise<readonly string[]> {
  const until = systemClock.monotonicMs() + deadlineMs;
  for (;;) {
    const left = await site.leftovers();
    if (left.length === 0 || systemClock.monotonicMs() > until) return left;
    await pause(systemClock, 100);
  }
}

async function trial(site: TestSite): Promise<Trial> {
  const size = ['--count', String(nodes), '--memory', vmm === 'sim' ? '128M' : '160M'];
  const created = await site.json<WorkspaceView>(
    ['create', '--image', 'mini', ...size, '--duration', '30m', '--wait', '--timeout', '5m'],
    310_000,
  );
  const { slots } = await site.json<{ slots: SlotView[] }>(['slots']);
  const slot = slots.find(({ workspaces }) => workspaces.includes(created.id));
  const journals = openJournals(site, slot?.id ?? '');
  const urgent = await take(site, slot?.lrmJobId ?? '');
  // Whoever looks on takes processors from the pilots, which share them with us: nobody does before it is over.
  await pause(systemClock, 1_000);
  const ended = await site
    .client()
    .waitForWorkspace(created.id, ({ state }) => state === 'ended', { timeoutMs: 110_000 });
  await stopWaiting(site);
  if (urgent !== undefined) await site.cluster?.endJob(urgent);
  // A node that is declared down comes back by itself (ReturnToService=2).
  if (how === 'drain') await must(site, ['scontrol', 'update', `nodename=${someNode(site)}`, 'state=resume']);
  await site.cluster?.untilIdle();
  // The urgent job is not the product's: Slurm may take its time over that one.
  const left = (await leftAfter(site, 5_000)).filter(each => !each.startsWith(`LRM job ${urgent} `));
  const reports = journals.map(readJournal);
  const first = (isIt: (notification: PilotNotification) => boolean): number[] =>
    reports.map(journal => journal.find(isIt)?.at ?? Number.NaN);
  const vmIs = (state: string) => (notification: PilotNotification) =>
    notification.body.kind === 'vm' && notification.body.report.state === state;
  const nodeIs = (state: string) => (notification: PilotNotification) =>
    notification.body.kind === 'node' && notification.body.state === state;
  const signs = [
    ...first(nodeIs('preempting')),
    ...first(vmIs('stopping')),
    await preemptedAt(site, created.id),
  ];
  const signalled = Math.min(...signs.filter(at => !Number.isNaN(at)));
  const since = (ats: readonly number[]): number[] => ats.map(at => at - signalled);
  const [toldMs, offMs, restoredMs] = [
    since(first(vmIs('stopping'))),
    since(first(vmIs('terminated'))),
    since(first(nodeIs('released'))),
  ];
  const troubles = [
    ...(ended.cause === expectedCause ? [] : [`it has ended as ${ended.cause}`]),
    ...(offMs.every(ms => ms <= graceMs / 2) ? [] : [`guests off after ${offMs.join(' ')} ms`]),
    ...(restoredMs.every(ms => ms <= graceMs) ? [] : [`nodes restored after ${restoredMs.join(' ')} ms`]),
    ...left,
  ];
  return { toldMs, offMs, restoredMs, troubles };
}

const site = await startSite({
  lrm: how === 'qdel' ? 'gridengine' : 'slurm',
  nodes,
  slurm: { limitCores: false },
  leases: { drain: 'leave' },
  ...(vmm === 'sim' ? { vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '50ms' } } : {}),
});
const done: Trial[] = [];
try {
  for (let round = 0; round < trials; round += 1) {
    const result = await trial(site);
    done.push(result);
    for (const trouble of result.troubles) console.log(`trial ${round + 1}: ${trouble}`);
  }
} finally {
  await site.stop();
}
const held = done.filter(({ troubles }) => troubles.length === 0).length;
console.log(`${how}, ${nodes} nodes, ${vmm}, grace ${graceMs} ms, on one machine: ${machine()}`);
console.log(
  row(
    'first sign → guest told, each node',
    done.flatMap(({ toldMs }) => toldMs),
  ),
);
console.log(
  row(
    'first sign → guests told on all nodes',
    done.map(({ toldMs }) => Math.max(...toldMs)),
  ),
);
console.log(
  row(
    'first sign → all guests off',
    done.map(({ offMs }) => Math.max(...offMs)),
  ),
);
console.log(
  row(
    'first sign → all nodes restored',
    done.map(({ restoredMs }) => Math.max(...restoredMs)),
  ),
);
const toldMs = median(done.flatMap(trial => trial.toldMs));
console.log(`a guest is told within ${toldMs} ms in the median; the goal is ${goalMs} ms`);
console.log(`${held} of ${trials} trials held`);
process.exitCode = held === trials && toldMs <= goalMs ? 0 : 1;
