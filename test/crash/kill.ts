import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';
import type { SlurmCluster } from '../cluster/slurm.ts';
import { helperDirs, type TestSite } from '../support/site.ts';
import type { Victim } from './points.ts';

/** Where on the site the victim is. */
export interface Place {
  readonly site: TestSite;
  readonly cluster: SlurmCluster;
  /** Index of the node in the cluster. */
  readonly index: number;
  readonly slotId: string;
}

/** Finds what is to be killed, so that it can be done in the moment itself: looking for processes takes a while on a machine that shuts sixteen guests down. Killing resolves with how many were there to be killed. */
export async function findVictim(victim: Victim, place: Place): Promise<() => Promise<number>> {
  const { site, cluster, index } = place;
  switch (victim) {
    case 'service':
      return () => site.killService().then(() => 1);
    case 'node':
      return () => cluster.powerOff(index).then(() => 1);
    default: {
      const pids = [
        ...(victim === 'helper' ? [] : [pilotOf(place)]),
        ...(victim === 'pilot' ? [] : await helpersOf(place)),
      ];
      return () => Promise.resolve(killAll(pids));
    }
  }
}

/** What a site does about it: the service is started again (by its supervisor), a node boots, the operator runs kill-all where both have gone. */
export async function mend(victim: Victim, place: Place): Promise<void> {
  const { site, cluster, index } = place;
  if (victim === 'service') await site.startService();
  if (victim === 'node') {
    // What is under /run does not outlive the power.
    rmSync(join(site.helperStateDir, nodeName(place)), { recursive: true, force: true });
    await cluster.powerOn(index);
  }
  if (victim === 'pilot and helper' || victim === 'node') {
    const done = await systemProcesses.run(killAllArgv(place), { deadlineMs: 30_000 });
    if (done.code !== 0)
      throw new Error(`kill-all on ${nodeName(place)}: exit ${done.code}: ${done.stdout}${done.stderr}`);
  }
}

export function nodeName({ cluster, index }: Pick<Place, 'cluster' | 'index'>): string {
  return cluster.nodes[index]?.name ?? '';
}

/** kill-all as an administrator runs it on the node. */
export function killAllArgv(place: Omit<Place, 'slotId'>): [string, ...string[]] {
  const { site, cluster, index } = place;
  const program = join(import.meta.dirname, '../../dist/node-tools.cjs');
  return [
    'nsenter',
    `--net=/run/netns/${cluster.nodes[index]?.netns}`,
    ...[process.execPath, program, 'kill-all', ...helperDirs(site.helperStateDir), '--node', nodeName(place)],
  ];
}

/** Its own log says which process it is. */
function pilotOf(place: Place): number {
  const log = readFileSync(join(place.site.workDir, nodeName(place), place.slotId, 'pilot.log'), 'utf8');
  for (const line of log.split('\n')) {
    if (!line.includes('pilot started')) continue;
    const { pid } = JSON.parse(line) as { readonly pid: number };
    return pid;
  }
  throw new Error(`the pilot on ${nodeName(place)} has not said which process it is`);
}

async function helpersOf(place: Place): Promise<readonly number[]> {
  const pattern = `node-tools.cjs helper .*--node ${nodeName(place)} .*--slot ${place.slotId}`;
  const { stdout } = await systemProcesses.run(['pgrep', '-f', '--', pattern], { deadlineMs: 10_000 });
  return stdout.split('\n').filter(Boolean).map(Number);
}

function killAll(pids: readonly number[]): number {
  let killed = 0;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
      killed += 1;
    } catch {
      // It has ended by itself meanwhile.
    }
  }
  return killed;
}
