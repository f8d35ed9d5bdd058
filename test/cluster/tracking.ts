import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';

/**
 * How a test's Slurm knows which processes are a job's. By cgroup, as sites do: whoever has not left the job's cgroup is killed with the job, a helper too, and a signal costs no walk through /proc.
 *
 * Slurm's cgroups carry the node's name and the job's id, and are shared by all clusters of this machine (`freezer/slurm_n01/uid_0/job_7/step_0`): each cluster has job ids of its own.
 */
const freezer = '/sys/fs/cgroup/freezer';
const jobsPerCluster = 1_000;
const lockDeadlineMs = 10_000;

/** Without the first hierarchy's freezer (a machine whose systemd owns the cgroups) jobs are known by who started whom. */
export const tracksByCgroup = existsSync(join(freezer, 'release_agent'));

/** Lines of slurm.conf for the cluster of that tag (four hexadecimal digits). */
export function trackingLines(tag: string): readonly string[] {
  return [
    `ProctrackType=proctrack/${tracksByCgroup ? 'cgroup' : 'linuxproc'}`,
    `FirstJobId=${firstJobId(tag)}`,
  ];
}

/** cgroup.conf; Slurm reads it beside slurm.conf. */
export const cgroupConfiguration = [
  'CgroupPlugin=cgroup/v1',
  'CgroupAutomount=no',
  'CgroupMountpoint=/sys/fs/cgroup',
  '',
].join('\n');

/** Removes what a cluster's daemons, killed before they could, have left of its jobs' cgroups; their processes are gone. */
export async function removeTracked(tag: string): Promise<void> {
  if (!tracksByCgroup) return;
  const first = firstJobId(tag);
  for (const user of usersOnNodes()) {
    const jobs = children(user).filter(name => {
      const id = Number(/^job_(\d+)$/.exec(name)?.[1]);
      return id >= first && id < first + jobsPerCluster;
    });
    for (const job of jobs) await removeDirectories(depthFirst(join(user, job)));
  }
  await removeDirectories([...usersOnNodes(), ...nodesOf()]);
}

function firstJobId(tag: string): number {
  return Number.parseInt(tag, 16) * jobsPerCluster + 1;
}

function nodesOf(): readonly string[] {
  return children(freezer)
    .filter(name => name.startsWith('slurm_'))
    .map(name => join(freezer, name));
}

function usersOnNodes(): readonly string[] {
  return nodesOf().flatMap(node => children(node).map(user => join(node, user)));
}

function depthFirst(directory: string): readonly string[] {
  return [...children(directory).flatMap(name => depthFirst(join(directory, name))), directory];
}

/** None of a directory that is gone. */
function children(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Under the lock that Slurm takes to make and remove cgroups; what another cluster uses, the kernel does not remove. */
async function removeDirectories(directories: readonly string[]): Promise<void> {
  if (directories.length > 0)
    await systemProcesses.run(['flock', freezer, 'rmdir', ...directories], { deadlineMs: lockDeadlineMs });
}
