import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from '../../../src/platform/children.ts';
import { type Job, type ShimConfig, serverName, type Task } from './model.ts';

/**
 * What pbs_mom does on the nodes. Each task is a session of its own in the node's network, under the node's name. What leaves its session (a helper does) is
 * not found any more when the task is killed.
 */

/** Starts the job's top task on its first node: a login shell that is fed the path of the job script. */
export async function startTop(config: ShimConfig, job: Job): Promise<Task> {
  const jobs = join(config.directory, 'mom/jobs');
  mkdirSync(jobs, { recursive: true });
  const script = join(jobs, `${job.id}.SC`);
  writeFileSync(script, job.script, { mode: 0o700 });
  chmodSync(script, 0o700);
  writeFileSync(nodeFileOf(config, job), `${slotsOf(config, job).join('\n')}\n`);
  return startTask(config, job, job.hosts[0] ?? '', ['/bin/sh', '-l'], `${script}\n`);
}

/** tm_spawn(3): starts a task on a node of the job. */
export async function startTask(
  config: ShimConfig,
  job: Job,
  node: string,
  argv: readonly string[],
  input = '',
): Promise<Task> {
  const netns = config.nodes.find(({ name }) => name === node)?.netns ?? '';
  const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0"; exec "$@"', node];
  const child = await startChild(['nsenter', `--net=/run/netns/${netns}`, ...named, ...argv], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: config.directory,
      ...job.env,
      PBS_ENVIRONMENT: 'PBS_BATCH',
      PBS_JOBID: job.id,
      PBS_JOBNAME: job.name,
      PBS_JOBCOOKIE: job.cookie,
      PBS_NODEFILE: nodeFileOf(config, job),
      PBS_O_HOST: serverName,
    },
    // A session of its own.
    detached: true,
    cwd: config.directory,
  });
  child.stdin?.end(input);
  return { node, child };
}

/** The lines of PBS_NODEFILE, which are also what pbsdsh starts a task for: of OpenPBS one for each chunk (mpiprocs=1), of Torque one for each processor. */
export function slotsOf(config: ShimConfig, { hosts, cpus }: Job): readonly string[] {
  return config.dialect === 'openpbs' ? hosts : hosts.flatMap(host => Array<string>(cpus).fill(host));
}

/** Sends a signal to all processes of the sessions of tasks. */
export function signalTasks(tasks: readonly Task[], signal: NodeJS.Signals): void {
  const sessions = new Set(tasks.map(({ child }) => child.pid));
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      // proc(5): after the name in brackets the state, the parent, the process group, the session.
      const session = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[3];
      if (sessions.has(Number(session))) process.kill(Number(pid), signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function nodeFileOf({ directory }: ShimConfig, { id }: Job): string {
  return join(directory, 'mom', `${id}.nodes`);
}
