import { walltimeText } from '../../../src/lrm/pbs/job-script.ts';
import { type Job, Refusal, serverName } from './model.ts';
import type { PbsServer } from './server.ts';
import { queuesOf } from './submit.ts';

/** What Torque prints, in the form of the recorded answers: XML on one line; queues and the server as text. */
type Element = readonly [name: string, value: string | number | readonly Element[] | undefined];

/** `qstat -x`: of a server without jobs nothing at all. Jobs that have ended are there for a while (keep_completed). */
export function jobsAnswer(server: PbsServer, ids: readonly string[]): string {
  const wanted = ids.map(id => (id.includes('.') ? id : `${id}.${serverName}`));
  const unknown = wanted.find(id => !server.jobs.has(id));
  if (unknown !== undefined) throw new Refusal(153, `qstat: Unknown Job Id Error ${unknown}`);
  const jobs = [...server.jobs.values()].filter(({ id }) => ids.length === 0 || wanted.includes(id));
  if (jobs.length === 0) return '';
  return `<?xml version="1.0"?>\n${element(['Data', jobs.map(job => ['Job', attributes(server, job)] as const)])}\n`;
}

/** `pbsnodes -x`. */
export function nodesAnswer(server: PbsServer): string {
  const nodes = server.config.nodes.map(({ name, cpus: np, memoryMiB }): Element => {
    const { cpus, jobs } = server.usedOf(name);
    const memory = `${memoryMiB * 1_024}kb`;
    const status = `opsys=linux,uname=Linux ${name} 6.1 x86_64,nsessions=0,nusers=0,totmem=${memory},availmem=${memory},physmem=${memory},ncpus=${np},loadave=0.06,gres=,state=free,varattr= ,rectime=${server.now},jobs=`;
    return [
      'Node',
      [
        ['name', name],
        ['state', cpus >= np ? 'job-exclusive' : 'free'],
        ['power_state', 'Running'],
        ['np', np],
        ['ntype', 'cluster'],
        [
          'jobs',
          jobs.length === 0 ? undefined : jobs.map(({ id, cpus: used }) => `0-${used - 1}/${id}`).join(','),
        ],
        ['status', status],
        ['mom_service_port', 15_002],
        ['mom_manager_port', 15_003],
      ],
    ];
  });
  return `${element(['Data', nodes])}\n`;
}

/** `qstat -Q -f`. */
export function queuesAnswer(server: PbsServer): string {
  return queuesOf('torque')
    .map(
      name => `Queue: ${name}
    queue_type = Execution
    total_jobs = ${server.jobs.size}
    state_count = Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Complete:0 
    resources_max.walltime = 24:00:00
    resources_default.nodes = 1
    resources_default.walltime = 01:00:00
    kill_delay = ${server.config.killDelaySeconds}
    enabled = True
    started = True

`,
    )
    .join('');
}

/** `qstat -B -f`. */
export function serverAnswer(server: PbsServer): string {
  return `Server: ${serverName}
    server_state = Active
    scheduling = True
    total_jobs = ${server.jobs.size}
    default_queue = batch
    query_other_jobs = True
    scheduler_iteration = 600
    keep_completed = 300

`;
}

/** qdel(1B) of a job that is unknown or has ended. */
export function refuseDeletion(id: string, job: Job | undefined): void {
  if (!job) throw new Refusal(153, `qdel: nonexistent job id: ${id.replace(/\..*$/, '')}`);
  if (job.state === 'ended')
    throw new Refusal(
      170,
      `qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE ${id}`,
    );
}

function attributes(server: PbsServer, job: Job): readonly Element[] {
  const letters = { Q: 'Q', H: 'H', R: 'R', S: 'S', E: 'E', ended: 'C' };
  const slots = job.cpus === 1 ? '0' : `0-${job.cpus - 1}`;
  const remaining = (job.startedAt ?? 0) + job.walltimeSeconds - server.now;
  return [
    ['Job_Id', job.id],
    ['Job_Name', job.name],
    ['Job_Owner', job.owner],
    ['job_state', letters[job.state]],
    ['queue', job.queue],
    ['server', serverName],
    ['Checkpoint', 'u'],
    ['ctime', job.createdAt],
    ['Error_Path', `${serverName}:${job.output ?? `/users/pbsuser/${job.name}.e`}`],
    ['exec_host', job.hosts.length === 0 ? undefined : job.hosts.map(host => `${host}/${slots}`).join('+')],
    ['Hold_Types', job.state === 'H' ? 'u' : 'n'],
    ['Join_Path', job.joins ? 'oe' : 'n'],
    ['Keep_Files', job.keeps ? 'oe' : 'n'],
    ['Mail_Points', 'n'],
    ['mtime', job.changedAt],
    ['Output_Path', `${serverName}:${job.output ?? `/users/pbsuser/${job.name}.o`}`],
    ['Priority', 0],
    ['qtime', job.createdAt],
    ['Rerunable', job.rerunable ? 'True' : 'False'],
    [
      'Resource_List',
      [
        ['nodes', job.select],
        ['walltime', walltimeText(job.walltimeSeconds)],
        ['nodect', job.nodes],
      ],
    ],
    [
      'Variable_List',
      Object.entries(job.env)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
    ],
    ['euser', job.owner.split('@')[0]],
    ['queue_type', 'E'],
    ['etime', job.createdAt],
    ['exit_status', job.exitStatus],
    ['submit_args', job.submitArguments],
    ['start_time', job.startedAt],
    ['Walltime', job.state === 'R' ? [['Remaining', remaining]] : undefined],
    ['start_count', job.runs === 0 ? undefined : job.runs],
    ['fault_tolerant', 'False'],
    ['comp_time', job.exitStatus === undefined ? undefined : job.endedAt],
    ['job_radix', 0],
    ['submit_host', serverName],
    ['request_version', 1],
  ];
}

function element([name, value]: Element): string {
  if (value === undefined) return '';
  const inside = typeof value === 'object' ? value.map(element).join('') : escaped(String(value));
  return `<${name}>${inside}</${name}>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
