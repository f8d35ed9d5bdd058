import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
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
  if (job.keeps) appendFileSync(outputFileOf(config, job), '');
  writeFileSync(nodeFileOf(config, job), `${slotsOf(config, job).join('\n')}\n`);
  // The output of a gang's tasks is gathered by pbs_demux, in the session of the top shell.
  const top = isDemuxed(config, job)
    ? [
        '/bin/sh',
        '-c',
        '(echo $(exec sh -c \'echo $PPID\') > "$0"; exec sleep 1000000) & exec /bin/sh -l',
        demuxFileOf(config, job),
      ]
    : ['/bin/sh', '-l'];
  return startTask(config, job, job.hosts[0] ?? '', top, `${script}\n`);
}

/** Whether a task of the job can be started: of a gang, only while its pbs_demux lives. */
export function canSpawn(config: ShimConfig, job: Job): boolean {
  if (!isDemuxed(config, job)) return true;
  const file = demuxFileOf(config, job);
  // Not there yet.
  if (!existsSync(file)) return true;
  const stat = statOf(readFileSync(file, 'utf8').trim());
  return stat !== undefined && stat.state !== 'Z';
}

/** Whether something other than pbs_demux is left of a task whose leader has ended. */
export function hasOrphans(config: ShimConfig, job: Job, { child }: Task): boolean {
  const file = demuxFileOf(config, job);
  const demux = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  return processes().some(
    ({ pid, session, state }) => session === child.pid && pid !== demux && state !== 'Z',
  );
}

function isDemuxed(config: ShimConfig, job: Job): boolean {
  return config.dialect === 'openpbs' && job.hosts.length > 1;
}

/** tm_spawn(3): starts a task on a node of the job. */
export async function startTask(
  config: ShimConfig,
  job: Job,
  node: string,
  argv: readonly string[],
  input = '',
): Promise<Task> {
  if (job.keeps && job.hosts.length === 1) appendFileSync(outputFileOf(config, job), '');
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
  for (const { pid, session } of processes()) {
    try {
      if (sessions.has(session)) process.kill(Number(pid), signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

interface Process {
  readonly pid: string;
  readonly session: number;
  readonly state: string;
}

function processes(): readonly Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => statOf(pid) ?? []);
}

function statOf(pid: string): Process | undefined {
  try {
    // proc(5): after the name in brackets the state, the parent, the process group, the session.
    const [state = '', , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return { pid, session: Number(session), state };
  } catch {
    return undefined;
  }
}

/** Where the output of a job that keeps it is: in the home, on its first node. */
export function outputFileOf({ directory }: ShimConfig, { id, name }: Job): string {
  return join(directory, `${name}.o${id.replace(/\..*$/, '')}`);
}

function demuxFileOf({ directory }: ShimConfig, { id }: Job): string {
  return join(directory, 'mom', `${id}.demux`);
}

function nodeFileOf({ directory }: ShimConfig, { id }: Job): string {
  return join(directory, 'mom', `${id}.nodes`);
}
