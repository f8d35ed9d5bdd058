import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';

/**
 * How a test's Slurm knows which processes are a job's. By cgroup, as sites do: whoever has not left the job's cgroup is killed with the job, a helper too, and a signal costs no walk through /proc.
 *
 * Slurm's cgroups carry the node's name and the job's id, and are shared by all clusters of this machine (`freezer/slurm_n01/uid_0/job_7/step_0`): each cluster has job ids of its own.
 */
const freezer = '/sys/fs/cgroup/freezer';
/** What a job is limited by: its memory, and the processors that it was given. */
const limiting = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup/cpuset'];
const jobsPerCluster = 1_000;
const lockDeadlineMs = 10_000;

/** Without the first hierarchy's freezer (a machine whose systemd owns the cgroups) jobs are known by who started whom. */
export const tracksByCgroup = existsSync(join(freezer, 'release_agent'));

/**
 * Memory and cores are limited where this machine has both controllers in the first hierarchy;
 * elsewhere Slurm only counts them.
 */
export const limitsByCgroup =
  tracksByCgroup && limiting.every(path => existsSync(join(path, 'release_agent')));

/** Lines of slurm.conf for the cluster of that tag (four hexadecimal digits). */
export function trackingLines(tag: string): readonly string[] {
  return [
    `ProctrackType=proctrack/${tracksByCgroup ? 'cgroup' : 'linuxproc'}`,
    `TaskPlugin=task/${limitsByCgroup ? 'cgroup' : 'none'}`,
    `FirstJobId=${firstJobId(tag)}`,
  ];
}

/** What of a job's share of its nodes is enforced. */
export interface JobLimits {
  /**
   * Jobs get processors of their own. Default: true. All nodes' first processor is one and the same
   * here: where it is measured what many nodes do, they would wait for it.
   */
  readonly limitCores?: boolean;
  /** What takes more memory than it asked for is killed. Default: true. */
  readonly limitMemory?: boolean;
}

/** cgroup.conf; Slurm reads it beside slurm.conf. */
export function cgroupConfiguration({ limitCores = true, limitMemory = true }: JobLimits): string {
  const yes = (wanted: boolean): string => (wanted ? 'yes' : 'no');
  return [
    'CgroupPlugin=cgroup/v1',
    'CgroupAutomount=no',
    'CgroupMountpoint=/sys/fs/cgroup',
    `ConstrainCores=${yes(limitCores)}`,
    `ConstrainRAMSpace=${yes(limitMemory)}`,
    // Nor swapped.
    `ConstrainSwapSpace=${yes(limitMemory)}`,
    'AllowedSwapSpace=0',
    '',
  ].join('\n');
}

/** Removes what a cluster's daemons, killed before they could, have left of its jobs' cgroups; their processes are gone. */
export async function removeTracked(tag: string): Promise<void> {
  if (!tracksByCgroup) return;
  for (const hierarchy of [freezer, ...limiting].filter(path => existsSync(path)))
    await removeFrom(hierarchy, firstJobId(tag));
}

async function removeFrom(hierarchy: string, first: number): Promise<void> {
  const nodes = childrenOf(hierarchy).filter(path => basename(path).startsWith('slurm_'));
  const users = nodes.flatMap(childrenOf);
  const jobs = users.flatMap(childrenOf).filter(path => {
    const id = Number(/^job_(\d+)$/.exec(basename(path))?.[1]);
    return id >= first && id < first + jobsPerCluster;
  });
  await removeDirectories(hierarchy, [...jobs.flatMap(depthFirst), ...users, ...nodes]);
}

function firstJobId(tag: string): number {
  return Number.parseInt(tag, 16) * jobsPerCluster + 1;
}

function depthFirst(directory: string): readonly string[] {
  return [...childrenOf(directory).flatMap(depthFirst), directory];
}

/** The directories in a directory; none of one that is gone. */
function childrenOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(({ name }) => join(directory, name));
  } catch {
    return [];
  }
}

/** Under the lock that Slurm takes to make and remove cgroups; what another cluster uses, the kernel does not remove. */
async function removeDirectories(hierarchy: string, directories: readonly string[]): Promise<void> {
  if (directories.length > 0)
    await systemProcesses.run(['flock', hierarchy, 'rmdir', ...directories], { deadlineMs: lockDeadlineMs });
}
