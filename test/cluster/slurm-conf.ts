import { hostname } from 'node:os';
import { join } from 'node:path';
import type { NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { accountingLines } from './slurm-accounting.ts';
import { type NodeScripts, nodeScriptLines } from './slurm-scripts.ts';
import { type JobLimits, trackingLines } from './tracking.ts';

export interface SlurmOptions extends JobLimits, NodeScripts {
  readonly nodes: number;
  readonly killWaitSeconds?: number;
  /**
   * The sizes of nodes, in turn. Slurm believes them, whatever this machine has. Default: two
   * sizes, of 2 processors each.
   */
  readonly sizes?: readonly NodeSize[];
  /** Accounting in a database, with limits enforced. Default: none. */
  readonly accounting?: boolean;
}

export interface NodeSize {
  readonly cpus: number;
  readonly memoryMiB: number;
}

/** What its configuration is made of. */
interface Cluster {
  readonly directory: string;
  readonly tag: string;
  readonly networks: NodeNetworks;
  readonly options: SlurmOptions;
  readonly port: number;
  /** Of slurmdbd. */
  readonly accountingPort: number;
}

const twoSizes: readonly [NodeSize, NodeSize] = [
  { cpus: 2, memoryMiB: 1_400 },
  { cpus: 2, memoryMiB: 2_100 },
];

/**
 * The site file's `lrm`, as a site has to fill it in here: its partition is not Slurm's default
 * one, and not all nodes of that are for VMs.
 */
export const siteTerms = {
  queue: 'batch',
  account: 'physics',
  options: ['--constraint=vms', '--comment=leases'],
} as const;

/** slurm.conf(5). */
export function slurmConfiguration(cluster: Cluster): string {
  return `${[...filesAndDaemons(cluster), ...scheduling(cluster), ...nodesAndPartitions(cluster)].join('\n')}\n`;
}

function filesAndDaemons({ directory, tag, networks, port }: Cluster): readonly string[] {
  return [
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
    ...nodeScriptLines(directory),
    'SwitchType=switch/none',
    'MpiDefault=none',
    'ReturnToService=2',
    // A node that does not answer for so long is down, and its jobs with it.
    'SlurmdTimeout=15',
    // Slurm believes what is written here of the nodes.
    'SlurmdParameters=config_overrides',
  ];
}

function scheduling({ directory, options, networks, accountingPort }: Cluster): readonly string[] {
  return [
    'SchedulerType=sched/backfill',
    // Without these every start waits seconds for the next round of the scheduler.
    'SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=5',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_CPU_Memory',
    `KillWait=${options.killWaitSeconds ?? 10}`,
    'MinJobAge=60',
    'JobAcctGatherType=jobacct_gather/none',
    ...(options.accounting ? accountingLines(directory, networks.headAddress, accountingPort) : []),
    'PreemptMode=REQUEUE',
    'PreemptType=preempt/partition_prio',
  ];
}

function nodesAndPartitions({ networks, options }: Cluster): readonly string[] {
  const sizes = options.sizes ?? twoSizes;
  const nodes = networks.nodes.map(({ name, address }, index) => {
    const which = index % sizes.length;
    const { cpus, memoryMiB } = sizes[which] ?? twoSizes[0];
    return `NodeName=${name} NodeHostname=${name} NodeAddr=${address} Port=6818 CPUs=${cpus} RealMemory=${memoryMiB} Feature=vms,size${which} State=UNKNOWN`;
  });
  return [
    ...nodes,
    // Where jobs go that name no partition: short ones, on one node.
    `PartitionName=debug Nodes=${networks.nodes[0]?.name ?? ''} Default=YES MaxTime=10 State=UP`,
    `PartitionName=batch Nodes=ALL MaxTime=1-0 State=UP OverSubscribe=${options.epilog ? 'EXCLUSIVE' : 'NO'} PriorityTier=1 PreemptMode=REQUEUE GraceTime=10`,
    'PartitionName=urgent Nodes=ALL MaxTime=1-0 State=UP PriorityTier=10 PreemptMode=OFF',
  ];
}
