import type { ProcessRunner } from '../../platform/process.ts';
import { type Random, systemRandom } from '../../platform/random.ts';
import { type LrmCommands, lrmCommands } from '../commands.ts';
import { type GangRequest, type Lrm, type LrmCapabilities, LrmError, type LrmJob } from '../lrm.ts';
import { failureOf, saysGone } from './answers.ts';
import { batchScript, sbatchArguments } from './batch-script.ts';
import { askJobs } from './job.ts';
import { SlurmLimits } from './limits.ts';
import { askTroubles, dependsOnNodes, withTroubles } from './nodes.ts';
import type { SlurmSettings } from './section.ts';
import { askSizes } from './sizes.ts';
import { type AskTable, tableAsker } from './table.ts';

/** What is not the site's to say. */
export interface SlurmParts {
  readonly random?: Random;
  /** The user as whom the commands run. Default: the service's own. */
  readonly uid?: number;
}

/** How the adapter asks. */
interface Asking {
  readonly commands: LrmCommands;
  readonly askTable: AskTable;
  readonly uid: number;
  readonly limits: SlurmLimits;
}

/**
 * The adapter for Slurm: sbatch, one squeue for our jobs, one sinfo for what their nodes have,
 * scancel. It changes nothing of Slurm and needs no privilege in it.
 */
export function slurm(
  settings: SlurmSettings,
  processes: ProcessRunner,
  { random = systemRandom, uid = process.getuid?.() ?? 0 }: SlurmParts = {},
): Lrm {
  const commands = commandsOf(settings, processes);
  // Their times are in seconds since the epoch.
  const askTable = tableAsker(commandsOf(settings, processes, { SLURM_TIME_FORMAT: '%s' }), random);
  const asking = { commands, askTable, uid, limits: new SlurmLimits(askTable, commands) };
  const { run, ask } = commands;
  const script = (request: GangRequest): string => batchScript(request, settings.node ?? 'node');
  return {
    kind: 'slurm',

    async capabilities(): Promise<LrmCapabilities> {
      const { queue, options = [] } = settings;
      const sizes = await askSizes(askTable, { queue, options });
      return { ...sizes, ...pilotsOf(await ask('scontrol', ['show', 'config'])) };
    },

    async submit(request: GangRequest): Promise<string> {
      const { code, stdout, stderr } = await run('sbatch', sbatchArguments(request), script(request));
      const jobId = stdout.trim().split('\n').at(-1)?.split(';')[0] ?? '';
      if (code === 0 && /^\d+$/.test(jobId)) return jobId;
      if (code === 0) throw new LrmError('unavailable', 'Slurm printed no job number');
      throw failureOf('Slurm refused the job', 'sbatch', stderr, code);
    },

    async dryRun(request: GangRequest): Promise<void> {
      const args = ['--test-only', ...sbatchArguments(request)];
      const { code, stderr } = await run('sbatch', args, script(request));
      if (code !== 0) throw failureOf('Slurm would refuse the job', 'sbatch', stderr, code);
    },

    list: () => listJobs(asking),

    async cancel(jobId: string): Promise<void> {
      const { code, stderr } = await run('scancel', [jobId]);
      if (code === 0 || saysGone(stderr)) return;
      throw new LrmError('unavailable', failureOf('Slurm ended no job', 'scancel', stderr, code).message);
    },

    extend: (jobId, endsAt) => extendJob(asking, jobId, endsAt),

    // Slurm tells an ordinary user nothing by itself.
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
}

function commandsOf({ binDir, conf }: SlurmSettings, processes: ProcessRunner, more = {}): LrmCommands {
  const env = { ...(conf === undefined ? {} : { SLURM_CONF: conf }), ...more };
  return lrmCommands({ binDir, inherited: ['TZ', 'SLURM_CONF', 'KRB5CCNAME'], env }, processes);
}

/** One squeue for our jobs, and one sinfo for what it does not tell of their nodes. */
async function listJobs({ askTable, uid, limits }: Asking): Promise<readonly LrmJob[]> {
  const jobs = await limits.addTo(await askJobs(askTable, uid));
  if (!jobs.some(dependsOnNodes)) return jobs;
  // A list without it is no list: "drained no more" would be made up of a command that failed.
  const starting = jobs.some(({ state }) => state === 'starting');
  const troubles = await askTroubles(askTable, starting);
  return jobs.map(job => withTroubles(job, troubles));
}

/** Time limits are counted in minutes; Slurm lets only its operators make them longer (scontrol(1), TimeLimit). */
async function extendJob(
  { commands, askTable, uid }: Asking,
  jobId: string,
  endsAt: number,
): Promise<number> {
  const job = (await askJobs(askTable, uid)).find(each => each.jobId === jobId);
  if (job?.state !== 'running' || job.endsAt === undefined)
    throw new LrmError('refused', 'only a job that runs can be given more time');
  const minutes = Math.ceil(Math.max(0, endsAt - job.endsAt) / 60_000);
  if (minutes === 0) return job.endsAt;
  const args = ['update', `JobId=${jobId}`, `TimeLimit=+${minutes}`];
  const { code, stderr } = await commands.run('scontrol', args);
  if (code !== 0) throw failureOf('Slurm', 'scontrol', stderr, code);
  return job.endsAt + minutes * 60_000;
}

/** What pilots must know, of `scontrol show config`. */
function pilotsOf(
  config: string,
): Pick<LrmCapabilities, 'killDelayMs' | 'nodeNameEnv' | 'jobEndEnv' | 'walltimeStepMs' | 'keepsScripts'> {
  const killWait = /^KillWait\s*=\s*(\d+)/m.exec(config)?.[1];
  return {
    killDelayMs: Number(killWait ?? 30) * 1_000,
    nodeNameEnv: ['SLURMD_NODENAME'],
    jobEndEnv: ['SLURM_JOB_END_TIME'],
    walltimeStepMs: 60_000,
    ...(/^AccountingStoreFlags\s*=.*\bjob_script\b/m.test(config)
      ? { keepsScripts: 'AccountingStoreFlags=job_script' }
      : {}),
  };
}
