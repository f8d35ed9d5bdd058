import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import { type SlurmAdministrator, slurmAdministrator } from './slurm-administrator.ts';
import { must, startController, startMunge, until } from './slurm-daemons.ts';
import { cgroupConfiguration, trackingLines } from './tracking.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/places.ts';
import {
  makeNodes,
  type NamespaceNode,
  type NodeNetworks,
  plugNode,
} from '../../src/lrm/local/namespaces.ts';

/** A private, real Slurm on this machine: slurmctld, one slurmd per network namespace, a munged of its own. */
export interface SlurmCluster extends BatchCluster, SlurmAdministrator {
  /** Value of SLURM_CONF for every Slurm command. */
  readonly conf: string;
  /** Tears a node away: its cables first, so that nobody hears its processes end. */
  powerOff(index: number): Promise<void>;
  /** The node after its boot: nothing of before is in its memory, and Slurm has it again. */
  powerOn(index: number): Promise<void>;
}

export interface SlurmOptions {
  readonly nodes: number;
  readonly killWaitSeconds?: number;
  readonly memoryMiBPerNode?: number;
  /** Default 2. Slurm believes it, whatever this machine has. */
  readonly cpusPerNode?: number;
}

/** What its configuration is made of. */
interface Cluster {
  readonly directory: string;
  readonly tag: string;
  readonly networks: NodeNetworks;
  readonly options: SlurmOptions;
  readonly port: number;
}

/** Starts a cluster and waits until all nodes are idle. Needs root and Debian's slurmctld, slurmd, slurm-client, munge. */
export async function startSlurm(options: SlurmOptions): Promise<SlurmCluster> {
  await removeStale();
  const directory = makePlace('wsp-slurm-');
  // munged and slurmd want to be sure that nobody else can change what is above their files.
  chmodSync(directory, 0o755);
  for (const name of ['state', 'spool', 'log', 'run', 'munge']) mkdirSync(join(directory, name));
  const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
  noteNodes(directory, tag);
  const networks = await makeNodes(tag, options.nodes);
  const conf = join(directory, 'slurm.conf');
  const run = (argv: readonly [string, ...string[]], input?: string): Promise<CommandResult> =>
    systemProcesses.run(argv, { deadlineMs: 60_000, env: { ...process.env, SLURM_CONF: conf }, input });
  // nsenter, not `ip netns exec`: that remounts /sys, and slurmd then misses the cgroups.
  const startDaemon = ({ netns, name }: NamespaceNode): Promise<void> =>
    must(run, ['nsenter', `--net=/run/netns/${netns}`, 'slurmd', '-N', name, '-f', conf]);
  const cluster: SlurmCluster = {
    directory,
    conf,
    headAddress: networks.headAddress,
    vmLan: networks.vmLan,
    nodes: networks.nodes,
    run,
    lrmSection: more => ({ kind: 'slurm', conf, node: process.execPath, options: more }),
    jobs: () => linesOf(run, ['squeue', '-h', '-o', '%i %j %T']),
    endJob: async jobId => void (await linesOf(run, ['scancel', jobId])),
    untilIdle: () =>
      until(
        run,
        ['sinfo', '-h', '-t', 'idle', '-p', 'batch', '-o', '%D'],
        ({ stdout }) => stdout.trim() === String(options.nodes),
      ),
    stop: () => removePlace(directory),
    ...slurmAdministrator(directory, run),
    powerOff: index => cutPower(tag, index, at(networks.nodes, index)),
    powerOn: async index => {
      const node = at(networks.nodes, index);
      await plugNode(tag, node, index);
      await startDaemon(node);
    },
  };
  try {
    await startMunge(directory);
    const port = await freePort(networks.headAddress);
    writeFileSync(conf, configuration({ directory, tag, networks, options, port }));
    writeFileSync(join(directory, 'cgroup.conf'), cgroupConfiguration);
    await startController(directory, run);
    for (const node of networks.nodes) {
      mkdirSync(join(directory, 'spool', node.name));
      await startDaemon(node);
    }
    await cluster.untilIdle();
    return cluster;
  } catch (cause) {
    await cluster.stop();
    throw cause;
  }
}

async function cutPower(tag: string, index: number, node: NamespaceNode): Promise<void> {
  const ip = (...args: string[]): Promise<CommandResult> =>
    systemProcesses.run(['ip', ...args], { deadlineMs: 30_000 });
  for (const bridge of ['s', 'v']) await ip('link', 'del', `ws${tag}${bridge}${index}`);
  const pids = (await ip('netns', 'pids', node.netns)).stdout.split('\n').filter(pid => pid !== '');
  if (pids.length > 0) await systemProcesses.run(['kill', '-KILL', ...pids], { deadlineMs: 10_000 });
  await ip('netns', 'del', node.netns);
}

function at(nodes: readonly NamespaceNode[], index: number): NamespaceNode {
  const node = nodes[index];
  if (!node) throw new RangeError(`there is no node ${index}`);
  return node;
}

function configuration({ directory, tag, networks, options, port }: Cluster): string {
  const nodes = networks.nodes.map(
    node =>
      `NodeName=${node.name} NodeHostname=${node.name} NodeAddr=${node.address} Port=6818 CPUs=${options.cpusPerNode ?? 2} RealMemory=${options.memoryMiBPerNode ?? 1_400} State=UNKNOWN`,
  );
  return `${[
    'ClusterName=site',
    `SlurmctldHost=${hostname()}(${networks.headAddress})`,
    `SlurmctldPort=${port}`,
    'AuthType=auth/munge',
    `AuthInfo=socket=${join(directory, 'munge', 'socket')}`,
    'SlurmUser=root',
    'SlurmdUser=root',
    `StateSaveLocation=${join(directory, 'state')}`,
    `SlurmdSpoolDir=${join(directory, 'spool', '%n')}`,
    `SlurmctldPidFile=${join(directory, 'run', 'slurmctld.pid')}`,
    `SlurmdPidFile=${join(directory, 'run', '%n.pid')}`,
    `SlurmctldLogFile=${join(directory, 'log', 'slurmctld.log')}`,
    `SlurmdLogFile=${join(directory, 'log', '%n.log')}`,
    ...trackingLines(tag),
    'TaskPlugin=task/none',
    'SwitchType=switch/none',
    'MpiDefault=none',
    'ReturnToService=2',
    'SchedulerType=sched/backfill',
    // Without these every start waits seconds for the next round of the scheduler.
    'SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=5',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_CPU_Memory',
    `KillWait=${options.killWaitSeconds ?? 10}`,
    'MinJobAge=60',
    // A node that does not answer for so long is down, and its jobs with it.
    'SlurmdTimeout=15',
    'JobAcctGatherType=jobacct_gather/none',
    'AccountingStorageType=accounting_storage/none',
    'PreemptMode=REQUEUE',
    'PreemptType=preempt/partition_prio',
    ...(options.cpusPerNode === undefined ? [] : ['SlurmdParameters=config_overrides']),
    ...nodes,
    'PartitionName=batch Nodes=ALL Default=YES MaxTime=1-0 State=UP OverSubscribe=NO PriorityTier=1 PreemptMode=REQUEUE GraceTime=10',
    'PartitionName=urgent Nodes=ALL MaxTime=1-0 State=UP PriorityTier=10 PreemptMode=OFF',
  ].join('\n')}\n`;
}

/** A TCP port that nobody listens on at that address just now. */
export function freePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      server.close(() =>
        bound !== null && typeof bound === 'object' ? resolve(bound.port) : reject(new Error('no port')),
      );
    });
  });
}
