import { gridEngine } from '../../src/lrm/gridengine/gridengine.ts';
import type { LrmJob } from '../../src/lrm/lrm.ts';
import { pbs } from '../../src/lrm/pbs/pbs.ts';
import { slurm } from '../../src/lrm/slurm/slurm.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { CommandResult, ProcessRunner } from '../../src/platform/process.ts';

/**
 * What the commands of real schedulers print when they are asked for jobs while their daemons are
 * dead
 * or dying, recorded. The product's own adapters read it: whatever they make of it, an error or a
 * list,
 * is what the world's scheduler answers while it is down.
 */
export interface Outage {
  readonly name: string;
  readonly answer: Pick<CommandResult, 'code' | 'stdout' | 'stderr'>;
  readonly adapter: (processes: ProcessRunner, clock: Clock) => { list(): Promise<readonly LrmJob[]> };
}

/** What squeue of Slurm 22.05 says before its error. */
const munge =
  'squeue: error: If munged is up, restart with --num-threads=10\nsqueue: error: Munge encode failed: Failed to connect to "/run/munge/munge.socket.2": Connection refused\nsqueue: error: slurm_send_node_msg: auth_g_create: REQUEST_JOB_INFO has authentication error\n';

const ofSlurm: Outage['adapter'] = processes => slurm({}, processes);
const ofGridEngine: Outage['adapter'] = (processes, clock) =>
  gridEngine(
    {
      root: '/nonexistent',
      programDir: '/nonexistent/programs',
      parallelEnvironments: ['wsp'],
      memoryResource: 'mem_free',
    },
    processes,
    clock,
  );
const ofPbs: Outage['adapter'] = (processes, clock) =>
  pbs({ dialect: 'openpbs', programDir: '/nonexistent/programs' }, processes, clock);

/** Each way in which a scheduler does not answer. */
export const outages: readonly Outage[] = [
  {
    name: 'slurmctld is dead',
    answer: {
      code: 1,
      stdout: '',
      stderr: 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n',
    },
    adapter: ofSlurm,
  },
  {
    name: 'munged is dead',
    answer: {
      code: 1,
      stdout: '',
      stderr: `${munge}slurm_load_jobs error: Protocol authentication error\n`,
    },
    adapter: ofSlurm,
  },
  {
    name: 'squeue says nothing',
    answer: { code: 0, stdout: '', stderr: '' },
    adapter: ofSlurm,
  },
  {
    name: 'squeue is cut off',
    answer: { code: 0, stdout: 'JOBIDz0USERz0STATEz0', stderr: '' },
    adapter: ofSlurm,
  },
  {
    name: 'sge_qmaster is dead',
    answer: {
      code: 1,
      stdout: '',
      stderr:
        'error: commlib error: got select error (Connection refused)\nerror: unable to send message to qmaster using port 6444 on host "head": got send error\n',
    },
    adapter: ofGridEngine,
  },
  {
    name: 'qstat is cut off',
    answer: {
      code: 0,
      stdout:
        '<?xml version=\'1.0\'?>\n<job_info  xmlns:xsd="http://www.w3.org/2001/XMLSchema">\n  <queue_info>\n',
      stderr: '',
    },
    adapter: ofGridEngine,
  },
  {
    name: 'pbs_server is dead',
    answer: {
      code: 255,
      stdout: '{\n\t"timestamp":\t1795810703,\n\t"pbs_version":\t"23.06.06",\n\t"pbs_server":\t"pbss"\n}\n',
      stderr: 'Connection refused\nqstat: cannot connect to server pbss (errno=15010)\n',
    },
    adapter: ofPbs,
  },
];

/** What the adapter makes of the list of a scheduler in this outage. */
export function listDuring(outage: Outage, clock: Clock): Promise<readonly LrmJob[]> {
  const run: ProcessRunner['run'] = () => Promise.resolve({ signal: null, ...outage.answer });
  return outage.adapter({ run }, clock).list();
}
