/**
 * The LRM takes nodes back: from the first warning signal that a pilot of the slot gets, how long until the guest of every node is told to shut down, until every guest is off,
 * and until every node is as it was. A trial holds when all guests went by themselves within half of the grace time, all nodes were restored within the whole, and nothing is left.
 * Usage: node --import tsx bench/preemption.ts [NODES=16] [TRIALS=100] [VMM=sim|qemu] [HOW=preempt|scancel|timelimit|qdel]. Needs root and `make setup`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { pause, systemClock } from '../src/platform/clock.ts';
import type { SlotView, WorkspaceView } from '../src/protocol/api.ts';
import type { PilotNotification } from '../src/protocol/pilot.ts';
import { startSite, type TestSite } from '../test/support/site.ts';
import { machine, row } from './figures.ts';

const nodes = Number(process.argv[2] ?? 16);
const trials = Number(process.argv[3] ?? 100);
const vmm = process.argv[4] ?? 'sim';
const how = process.argv[5] ?? 'preempt';
/** GraceTime of the test cluster's partition, KillWait, `notify` of its queue: all the same. */
const graceMs = 10_000;

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
    case 'timelimit':
      await cluster?.run(['scontrol', 'update', `jobid=${jobId}`, 'timelimit=1']);
      return undefined;
    default:
      await cluster?.endJob(jobId);
      return undefined;
  }
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
  // In this process: a command's start would take processors from the pilots just then.
  const end = site
    .client()
    .waitForWorkspace(created.id, ({ state }) => state === 'ended', { timeoutMs: 110_000 });
  const urgent = await take(site, slot?.lrmJobId ?? '');
  const ended = await end;
  if (urgent !== undefined) await site.cluster?.endJob(urgent);
  await site.cluster?.untilIdle();
  const reports = journals.map(readJournal);
  const first = (isIt: (notification: PilotNotification) => boolean): number[] =>
    reports.map(journal => journal.find(isIt)?.at ?? Number.NaN);
  const vmIs = (state: string) => (notification: PilotNotification) =>
    notification.body.kind === 'vm' && notification.body.report.state === state;
  const nodeIs = (state: string) => (notification: PilotNotification) =>
    notification.body.kind === 'node' && notification.body.state === state;
  const signalled = Math.min(...first(nodeIs('preempting')).filter(at => !Number.isNaN(at)));
  const since = (ats: readonly number[]): number[] => ats.map(at => at - signalled);
  const [toldMs, offMs, restoredMs] = [
    since(first(vmIs('stopping'))),
    since(first(vmIs('terminated'))),
    since(first(nodeIs('released'))),
  ];
  const troubles = [
    ...(ended.cause === 'preempted' ? [] : [`it has ended as ${ended.cause}`]),
    ...(offMs.every(ms => ms <= graceMs / 2) ? [] : [`guests off after ${offMs.join(' ')} ms`]),
    ...(restoredMs.every(ms => ms <= graceMs) ? [] : [`nodes restored after ${restoredMs.join(' ')} ms`]),
    // The urgent job is not the product's: Slurm may take its time over that one.
    ...(await leftAfter(site, 5_000)).filter(left => !left.startsWith(`LRM job ${urgent} `)),
  ];
  return { toldMs, offMs, restoredMs, troubles };
}

const site = await startSite({
  lrm: how === 'qdel' ? 'gridengine' : 'slurm',
  nodes,
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
    'first signal → guest told, each node',
    done.flatMap(({ toldMs }) => toldMs),
  ),
);
console.log(
  row(
    'first signal → guests told on all nodes',
    done.map(({ toldMs }) => Math.max(...toldMs)),
  ),
);
console.log(
  row(
    'first signal → all guests off',
    done.map(({ offMs }) => Math.max(...offMs)),
  ),
);
console.log(
  row(
    'first signal → all nodes restored',
    done.map(({ restoredMs }) => Math.max(...restoredMs)),
  ),
);
console.log(`${held} of ${trials} trials held`);
process.exitCode = held === trials ? 0 : 1;
