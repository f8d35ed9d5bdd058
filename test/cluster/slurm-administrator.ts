import { join } from 'node:path';
import { type BatchCluster, linesOf } from './cluster.ts';
import { holdPrologs } from './held-prolog.ts';
import type { HostView } from './host-view.ts';
import { endDaemon, startController, startMunge } from './slurm-daemons.ts';

/**
 * What the people of a site do to its Slurm while leases wait, run and end there. Each rejects when
 * Slurm refuses it.
 */
export interface SlurmAdministrator {
  /** Ends slurmctld, which saves its state, and resolves when it has ended. What runs goes on. */
  stopController(): Promise<void>;
  /** Starts slurmctld again, with the state that it has saved; resolves when it answers. */
  startController(): Promise<void>;
  /** Ends munged: until it is started again no command of Slurm can say whose it is. */
  stopMunge(): Promise<void>;
  startMunge(): Promise<void>;
  suspend(jobId: string): Promise<void>;
  resume(jobId: string): Promise<void>;
  /** Prologs do not end until they are let go by what this resolves with. */
  holdPrologs(): Promise<() => Promise<void>>;
  /** `scontrol update NodeName=…`, with words such as `State=DRAIN`, `Reason=…`. */
  setNode(name: string, ...what: string[]): Promise<void>;
  /**
   * Submits jobs of `ann`, held, each a record of its own; resolves with their ids. `options` are
   * of sbatch.
   */
  foreignJobs(count: number, ...options: string[]): Promise<readonly string[]>;
}

/**
 * The administrator of the Slurm whose files are in `directory`; `run` is of root, with its
 * SLURM_CONF.
 */
export function slurmAdministrator(
  directory: string,
  view: HostView,
  run: BatchCluster['run'],
): SlurmAdministrator {
  const order = async (...argv: [string, ...string[]]): Promise<void> => void (await linesOf(run, argv));
  return {
    stopController: () => endDaemon(join(directory, 'run', 'slurmctld.pid')),
    startController: () => startController(directory, run),
    stopMunge: () => endDaemon(join(directory, 'munge', 'pid')),
    startMunge: () => startMunge(directory),
    suspend: jobId => order('scontrol', 'suspend', jobId),
    resume: jobId => order('scontrol', 'resume', jobId),
    holdPrologs: () => holdPrologs(directory),
    setNode: (name, ...what) => order('scontrol', 'update', `NodeName=${name}`, ...what),
    foreignJobs: async (count, ...options) => {
      const submit =
        'for n in $(seq "$0"); do sbatch --parsable --hold "$@" --wrap "sleep 600" || exit; done';
      const sbatchOptions = [
        '--chdir=/',
        '--output=/dev/null',
        '--job-name=lattice-qcd',
        '-p',
        'batch',
        ...options,
      ];
      return linesOf(run, view.as('ann', ['sh', '-c', submit, String(count), ...sbatchOptions]));
    },
  };
}
