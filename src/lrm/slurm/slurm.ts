import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands, oneLine } from '../commands.ts';
import {
  finalJobStates,
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
} from '../lrm.ts';
import { batchScript, sbatchArguments } from './batch-script.ts';
import { parseDrains, sinfoDrainArguments, withDrains } from './drain.ts';
import { parseJobs } from './job.ts';

/** Where Slurm's commands are and which Slurm they speak to. */
export interface SlurmSettings {
  /** Directory of sbatch, squeue, scancel, sinfo, scontrol. Default: PATH. */
  readonly binDir?: string | undefined;
  /** SLURM_CONF for them. Default: the environment's. */
  readonly conf?: string | undefined;
  /** The queue that gangs go to, for the limits. Default: Slurm's default partition. */
  readonly queue?: string | undefined;
  /** The Node program on the nodes. Default: `node`. */
  readonly node?: string | undefined;
}

/** The adapter for Slurm: sbatch, one squeue for all jobs, one sinfo for drained nodes, scancel. It changes nothing of Slurm and needs no privilege in it. */
export function slurm(settings: SlurmSettings, processes: ProcessRunner): Lrm {
  const commands = commandsOf(settings, processes);
  const { run, ask } = commands;
  return {
    kind: 'slurm',

    async capabilities(): Promise<LrmCapabilities> {
      // All partitions, hidden ones too: sinfo does not take -a together with the name of one.
      const partitions = await ask('sinfo', ['-h', '-a', '-o', '%P|%D|%m|%c|%l|%F']);
      const config = await ask('scontrol', ['show', 'config']);
      return parseCapabilities(partitions, config, settings.queue);
    },

    async submit(request: GangRequest): Promise<string> {
      const result = await run(
        'sbatch',
        sbatchArguments(request),
        batchScript(request, settings.node ?? 'node'),
      );
      const jobId = result.stdout.trim().split(';')[0] ?? '';
      if (result.code === 0 && /^\d+$/.test(jobId)) return jobId;
      const words =
        oneLine(result.stderr).replace(/^sbatch: error: /, '') ||
        `sbatch exited with ${result.code} and no word`;
      throw new LrmError(
        isOutage(result.stderr) || result.code === 0 ? 'unavailable' : 'refused',
        `Slurm refused the job: ${words}`,
      );
    },

    async dryRun(request: GangRequest): Promise<void> {
      const script = batchScript(request, settings.node ?? 'node');
      const { code, stderr } = await run('sbatch', ['--test-only', ...sbatchArguments(request)], script);
      if (code === 0) return;
      const words = oneLine(stderr).replace(/^(sbatch|allocation failure): (error: )?/, '');
      throw new LrmError(
        isOutage(stderr) ? 'unavailable' : 'refused',
        `Slurm would refuse the job: ${words}`,
      );
    },

    list: () => listJobs(commands),

    async cancel(jobId: string): Promise<void> {
      const result = await run('scancel', [jobId]);
      // A job that is gone is what was wanted.
      if (result.code !== 0 && isOutage(result.stderr))
        throw new LrmError('unavailable', `scancel: ${oneLine(result.stderr)}`);
    },

    extend: (jobId, endsAt) => extendJob(commands, jobId, endsAt),

    // Slurm tells an ordinary user nothing by itself.
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
}

function commandsOf(settings: SlurmSettings, processes: ProcessRunner): LrmCommands {
  return lrmCommands(
    {
      binDir: settings.binDir,
      inherited: ['TZ', 'SLURM_CONF', 'KRB5CCNAME'],
      env: settings.conf === undefined ? {} : { SLURM_CONF: settings.conf },
    },
    processes,
  );
}

/** One squeue for all jobs, and what it does not tell of those that run and those that are over. */
async function listJobs({ ask }: LrmCommands): Promise<readonly LrmJob[]> {
  const jobs = parseJobs(await ask('squeue', ['--json', '-t', 'all']));
  const anyFinal = jobs.some(job => finalJobStates.has(job.state));
  const anyRuns = jobs.some(job => job.state === 'running');
  // A list without either is no list: "drained no more" would be made up of a command that failed.
  const [completing, drains] = await Promise.all([
    // The JSON of Slurm 22.05 calls a job final while its nodes are still completing; only the state filter knows.
    anyFinal ? ask('squeue', ['-h', '-t', 'COMPLETING', '-o', '%i']) : '',
    anyRuns ? ask('sinfo', sinfoDrainArguments) : '',
  ]);
  const completingIds = new Set(completing.split('\n'));
  const drained = parseDrains(drains);
  return jobs.map(job =>
    completingIds.has(job.jobId) ? { ...job, state: 'ending' as const } : withDrains(job, drained),
  );
}

/** Time limits are counted in minutes; Slurm lets only its operators make them longer (scontrol(1), TimeLimit). */
async function extendJob({ run, ask }: LrmCommands, jobId: string, endsAt: number): Promise<number> {
  const job = parseJobs(await ask('squeue', ['--json', '-t', 'all'])).find(each => each.jobId === jobId);
  if (job?.state !== 'running' || job.endsAt === undefined)
    throw new LrmError('refused', 'only a job that runs can be given more time');
  const minutes = Math.ceil(Math.max(0, endsAt - job.endsAt) / 60_000);
  if (minutes === 0) return job.endsAt;
  const { code, stderr } = await run('scontrol', ['update', `JobId=${jobId}`, `TimeLimit=+${minutes}`]);
  if (code !== 0)
    throw new LrmError(isOutage(stderr) ? 'unavailable' : 'refused', `Slurm: ${oneLine(stderr)}`);
  return job.endsAt + minutes * 60_000;
}

/** Words of Slurm's commands when slurmctld cannot be reached or is not ready: another try may help. */
function isOutage(stderr: string): boolean {
  return /Unable to contact slurm controller|Connection refused|Socket timed out|Zero Bytes|Communication connection failure|temporarily unable/i.test(
    stderr,
  );
}

/** `sinfo -o %P|%D|%m|%c|%l|%F` (a default partition has a star; %F is allocated/idle/other/total) and `scontrol show config`, as capabilities. */
export function parseCapabilities(
  partitions: string,
  config: string,
  queue: string | undefined,
): LrmCapabilities {
  const rows = partitions
    .trim()
    .split('\n')
    .map(line => line.split('|'));
  const ours = rows.filter(([name]) =>
    queue === undefined ? name?.endsWith('*') : name?.replace('*', '') === queue,
  );
  const chosen = ours.length > 0 ? ours : queue === undefined ? rows : [];
  const first = chosen[0];
  if (first === undefined || first.length < 5)
    throw new LrmError('unavailable', `Slurm has no queue ${queue ?? '(default)'}`);
  const sum = (column: number): number =>
    chosen.reduce((total, row) => total + Number.parseInt(row[column] ?? '0', 10), 0);
  const most = (column: number): number =>
    Math.max(...chosen.map(row => Number.parseInt(row[column] ?? '0', 10)));
  const maxWalltimeMs = walltimeMs(first[4] ?? '');
  const killWait = /^KillWait\s*=\s*(\d+)/m.exec(config)?.[1];
  return {
    nodes: sum(1),
    idleNodes: chosen.reduce((total, row) => total + Number(row[5]?.split('/')[1] ?? 0), 0),
    memoryMiBPerNode: most(2),
    cpusPerNode: most(3),
    ...(maxWalltimeMs === undefined ? {} : { maxWalltimeMs }),
    killDelayMs: Number(killWait ?? 30) * 1_000,
    nodeNameEnv: ['SLURMD_NODENAME'],
    jobEndEnv: ['SLURM_JOB_END_TIME'],
    walltimeStepMs: 60_000,
  };
}

/** Slurm's `days-hours:minutes:seconds`; undefined for `infinite`. */
function walltimeMs(text: string): number | undefined {
  const match = /^(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)$/.exec(text);
  if (!match) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map(part => Number(part ?? 0));
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1_000;
}
