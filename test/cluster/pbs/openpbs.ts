import { walltimeText } from '../../../src/lrm/pbs/job-script.ts';
import { type Job, Refusal, serverName } from './model.ts';
import { type PbsServer, vnodesOf } from './server.ts';
import { queuesOf } from './submit.ts';

/** What OpenPBS prints, in the form of the recorded answers: JSON with tabs. */
type Value = string | number | { readonly [key: string]: Value | undefined };

/** `qstat -f -F json`; with `-x` also of jobs that have ended. */
export function jobsAnswer(
  server: PbsServer,
  ids: readonly string[],
  { withEnded, user }: { readonly withEnded: boolean; readonly user: string | undefined },
) {
  const said: string[] = [];
  let code = 0;
  const wanted = ids.length === 0 ? [...server.jobs.values()] : ids.flatMap(id => jobNamed(id) ?? []);
  function jobNamed(id: string): Job | undefined {
    const full = id.includes('.') ? id : `${id}.${serverName}`;
    const job = server.jobs.get(full);
    if (!job) {
      said.push(`qstat: Unknown Job Id ${full}`);
      code = 153;
    } else if (job.state === 'ended' && !withEnded) {
      said.push(`qstat: ${full} Job has finished, use -x or -H to obtain historical job information`);
      code = 35;
      return undefined;
    }
    return job;
  }
  const isShown = (job: Job): boolean =>
    (withEnded || job.state !== 'ended') && (user === undefined || job.owner.startsWith(`${user}@`));
  const shown = wanted.filter(isShown);
  const jobs = Object.fromEntries(shown.map(job => [job.id, attributes(job)]));
  return {
    stdout: document(server, shown.length === 0 ? {} : { Jobs: jobs }),
    stderr: said.map(line => `${line}\n`).join(''),
    code,
  };
}

/** `pbsnodes -a -F json`. */
export function nodesAnswer(server: PbsServer): string {
  const nodes = server.config.nodes.map(({ name, cpus: pcpus, memoryMiB: has }) => {
    const { cpus, memoryMiB, jobs } = server.usedOf(name);
    return [
      name,
      {
        Mom: name,
        ntype: 'PBS',
        state: cpus >= pcpus ? 'job-busy' : 'free',
        pcpus,
        ...(jobs.length === 0 ? {} : { jobs: jobs.map(({ id }) => `${id}/0`).join(', ') }),
        resources_available: {
          arch: 'linux',
          host: name,
          mem: `${has * 1_024}kb`,
          ncpus: pcpus,
          vnode: name,
        },
        resources_assigned: jobs.length === 0 ? {} : { mem: `${memoryMiB * 1_024}kb`, ncpus: cpus },
        resv_enable: 'True',
        sharing: 'default_shared',
        license: 'l',
      },
    ] as const;
  });
  return document(server, { nodes: Object.fromEntries(nodes) });
}

/** `qstat -Q -f -F json`. */
export function queuesAnswer(server: PbsServer): string {
  const { killDelaySeconds } = server.config;
  const queue = {
    queue_type: 'Execution',
    total_jobs: server.jobs.size,
    resources_max: { walltime: '24:00:00' },
    kill_delay: killDelaySeconds,
    enabled: 'True',
    started: 'True',
  };
  return document(server, {
    Queue: Object.fromEntries(queuesOf('openpbs').map(name => [name, queue])),
  });
}

/** `qstat -B -f -F json`. */
export function serverAnswer(server: PbsServer): string {
  return document(server, {
    Server: {
      [serverName]: {
        server_state: 'Active',
        server_host: serverName,
        scheduling: 'True',
        total_jobs: server.jobs.size,
        default_queue: 'workq',
        scheduler_iteration: 600,
        flatuid: 'True',
        job_history_enable: 'True',
      },
    },
  });
}

/** qdel(1B) of a job that is unknown or has ended. */
export function refuseDeletion(id: string, job: Job | undefined): void {
  if (!job) throw new Refusal(153, `qdel: Unknown Job Id ${id}`);
  if (job.state === 'ended') throw new Refusal(35, `qdel: Job has finished ${id}`);
}

function attributes(job: Job): Value {
  const letters = { Q: 'Q', H: 'H', R: 'R', S: 'S', E: 'E', ended: 'F' };
  const ran = job.hosts.length > 0;
  return {
    Job_Name: job.name,
    Job_Owner: job.owner,
    job_state: letters[job.state],
    queue: job.queue,
    server: serverName,
    Checkpoint: 'u',
    ctime: timeText(job.createdAt),
    Error_Path: `${serverName}:${job.output ?? `/users/pbsuser/${job.name}.e`}`,
    exec_host: ran
      ? job.hosts.map(host => `${host}/0${job.cpus === 1 ? '' : `*${job.cpus}`}`).join('+')
      : undefined,
    exec_vnode: ran ? vnodesOf(job) : undefined,
    Hold_Types: job.state === 'H' ? 'u' : 'n',
    Join_Path: job.joins ? 'oe' : 'n',
    Keep_Files: job.keeps ? 'oe' : 'n',
    Mail_Points: 'n',
    mtime: timeText(job.changedAt),
    Output_Path: `${serverName}:${job.output ?? `/users/pbsuser/${job.name}.o`}`,
    Priority: 0,
    qtime: timeText(job.createdAt),
    Rerunable: job.rerunable ? 'True' : 'False',
    Resource_List: {
      mem: `${job.memoryMiB * job.nodes}mb`,
      ncpus: job.cpus * job.nodes,
      nodect: job.nodes,
      place: 'scatter',
      select: /^\d+$/.test(job.select) ? Number(job.select) : job.select,
      walltime: walltimeText(job.walltimeSeconds),
    },
    stime: job.startedAt === undefined ? undefined : timeText(job.startedAt),
    obittime: job.endedAt === undefined || !ran ? undefined : timeText(job.endedAt),
    substate: job.substate,
    Variable_List: { ...job.env, PBS_O_HOST: serverName, PBS_O_QUEUE: job.queue },
    comment: job.comment === '' ? undefined : job.comment,
    etime: timeText(job.createdAt),
    run_count: job.runs === 0 ? undefined : job.runs,
    Exit_status: job.exitStatus,
    Submit_arguments: job.submitArguments,
    history_timestamp: job.endedAt,
    project: job.project,
    Submit_Host: serverName,
  };
}

/** ctime(3), in UTC. */
function timeText(seconds: number): string {
  const [, day, date, month, year, clock] =
    /^(\w+), (\d+) (\w+) (\d+) (\S+)/.exec(new Date(seconds * 1_000).toUTCString()) ?? [];
  return `${day} ${month} ${String(Number(date)).padStart(2, ' ')} ${clock} ${year}`;
}

function document(server: PbsServer, more: Readonly<Record<string, Value>>): string {
  return `${print({ timestamp: server.now, pbs_version: '23.06.06', pbs_server: serverName, ...more }, 1)}\n`;
}

function print(value: Value, depth: number): string {
  if (typeof value !== 'object') return JSON.stringify(value);
  const tabs = '\t'.repeat(depth);
  const lines = Object.entries(value)
    .filter((entry): entry is [string, Value] => entry[1] !== undefined)
    .map(([key, each]) => `${tabs}${JSON.stringify(key)}:\t${print(each, depth + 1)}`);
  return `{\n${lines.length === 0 ? '' : `${lines.join(',\n')}\n`}${'\t'.repeat(depth - 1)}}`;
}
