import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands, oneLine } from '../commands.ts';
import { finalJobStates, type GangRequest, type Lrm, LrmError, type LrmJob } from '../lrm.ts';
import { keepProgram, programFile, sweepPrograms } from '../programs.ts';
import { type Dialect, dialectOf } from './dialect.ts';
import { toJob } from './job.ts';
import { jobScript, type PbsDialect, qsubArguments, walltimeText } from './job-script.ts';
import { Memory } from './memory.ts';
import { capabilitiesOf, nodesOfQueue } from './server.ts';

/** Which PBS it is, where its commands are, and what of it gangs use. */
export interface PbsSettings {
  readonly dialect: PbsDialect;
  /** Directory of qsub, qstat, qdel, qalter, pbsnodes, and on the nodes pbsdsh. Default: PATH, and on the nodes what /etc/pbs.conf says. */
  readonly binDir?: string | undefined;
  /** The server's name: PBS_SERVER (OpenPBS), PBS_DEFAULT (Torque). Default: the host's configuration. */
  readonly server?: string | undefined;
  /** The queue that gangs go to, for the limits. Default: the server's default queue. */
  readonly queue?: string | undefined;
  /** Directory that this host and the nodes share and the service's user alone can read. Default: .workspace-pilot/pbs in the home. */
  readonly programDir?: string | undefined;
  /** The Node program on the nodes. Default: `node`. */
  readonly node?: string | undefined;
}

/** The adapter for PBS: qsub, one qstat for all jobs, qdel. It changes nothing of PBS and needs no privilege in it. */
export function pbs(settings: PbsSettings, processes: ProcessRunner, clock: Clock): Lrm {
  const commands = commandsOf(settings, processes);
  const { dialect: name, programDir = join(homedir(), '.workspace-pilot', 'pbs'), binDir } = settings;
  const dialect = dialectOf(name);
  const memory = new Memory();
  const listed = (): Promise<readonly LrmJob[]> => liveJobs(commands, dialect, memory);
  return {
    kind: 'pbs',

    async capabilities() {
      const site = await dialect.site(commands);
      const known = capabilitiesOf(site, settings.queue, dialect.defaultKillDelaySeconds);
      if (known) return known;
      throw new LrmError('unavailable', `PBS has no queue ${settings.queue ?? '(default)'}`);
    },

    async submit(request: GangRequest): Promise<string> {
      const script = jobScript(
        name,
        programFile(programDir, request.jobName),
        settings.node ?? 'node',
        binDir,
      );
      await refuseImpossible(commands, dialect, request);
      await keepProgram(programDir, request);
      const jobId = await qsub(commands, qsubArguments(name, request), script);
      memory.noteSubmission(jobId);
      return jobId;
    },

    // PBS has no way to be asked without submitting.
    dryRun: request => refuseImpossible(commands, dialect, request),

    async list(): Promise<readonly LrmJob[]> {
      const live = await listed();
      const missing = memory.look(live);
      if (missing.length > 0) memory.learn(await history(commands, dialect, memory, missing));
      const waitsOrRuns = live.filter(({ state }) => !finalJobStates.has(state));
      await sweepPrograms(programDir, new Set(waitsOrRuns.map(({ jobName }) => jobName)), clock.now());
      const ids = new Set(live.map(({ jobId }) => jobId));
      return [...live, ...memory.ended.filter(({ jobId }) => !ids.has(jobId))];
    },

    async cancel(jobId: string): Promise<void> {
      const { code, stdout, stderr } = await commands.run('qdel', [jobId]);
      // A job that is gone is what was wanted.
      if (code !== 0 && isOutage(stderr))
        throw new LrmError('unavailable', `qdel: ${oneLine(stderr || stdout)}`);
      if (code === 0) memory.noteDeletion(jobId);
    },

    async extend(jobId: string, endsAt: number): Promise<number> {
      return extendJob(
        commands,
        (await listed()).find(job => job.jobId === jobId),
        endsAt,
      );
    },
    // PBS tells an ordinary user nothing by itself, but by mail.
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
}

function commandsOf({ binDir, server }: PbsSettings, processes: ProcessRunner): LrmCommands {
  return lrmCommands(
    {
      binDir,
      inherited: ['PBS_CONF_FILE', 'PBS_SERVER', 'PBS_DEFAULT', 'PBS_EXEC', 'PBS_HOME', 'KRB5CCNAME'],
      // qstat's times have no zone.
      env: { TZ: 'UTC', ...(server === undefined ? {} : { PBS_SERVER: server, PBS_DEFAULT: server }) },
    },
    processes,
  );
}

/** The id of the job that qsub(1B) has submitted. */
async function qsub({ run }: LrmCommands, args: readonly string[], script: string): Promise<string> {
  const { code, stdout, stderr } = await run('qsub', args, script);
  const jobId = stdout.trim().split('\n').at(-1) ?? '';
  if (code === 0 && /^\d+\.[\w.-]+$/.test(jobId)) return jobId;
  const words = oneLine(stderr || stdout).replace(/^qsub: /, '');
  throw new LrmError(
    isOutage(stderr) || code === 0 ? 'unavailable' : 'refused',
    `PBS refused the job: ${words || `qsub exited with ${code} and no word`}`,
  );
}

async function liveJobs(commands: LrmCommands, dialect: Dialect, memory: Memory): Promise<readonly LrmJob[]> {
  const user = userInfo().username;
  // Another user's service may have its own here.
  const ours = (await dialect.jobs(commands)).filter(({ owner }) => owner.split('@')[0] === user);
  return ours.map(job => toJob(job, memory.isDeleted(job.jobId)));
}

/** How jobs ended that have left the list. A server that keeps no history, or not theirs any more, tells nothing: they are gone. */
async function history(
  commands: LrmCommands,
  dialect: Dialect,
  memory: Memory,
  jobIds: readonly string[],
): Promise<readonly LrmJob[]> {
  try {
    return (await dialect.history(commands, jobIds)).map(job => toJob(job, memory.isDeleted(job.jobId)));
  } catch (cause) {
    if (cause instanceof LrmError) return [];
    throw cause;
  }
}

/** PBS takes a job that no nodes could ever run, and lets it wait. Nodes that are down just now count: they may come back. */
async function refuseImpossible(
  commands: LrmCommands,
  dialect: Dialect,
  { nodes, cpusPerNode, memoryMiBPerNode, queue }: GangRequest,
): Promise<void> {
  const known = nodesOfQueue(await dialect.nodes(commands), queue);
  const fitting = known.filter(({ cpus, memoryMiB }) => cpus >= cpusPerNode && memoryMiB >= memoryMiBPerNode);
  if (fitting.length >= nodes) return;
  throw new LrmError(
    'refused',
    `PBS could never run it: ${nodes} nodes with ${cpusPerNode} processors and ${memoryMiBPerNode} MiB are wanted, ${fitting.length} of ${known.length} nodes have as much`,
  );
}

/** PBS lets only its operators and managers give a running job more time (qalter(1B)). */
async function extendJob({ run }: LrmCommands, job: LrmJob | undefined, endsAt: number): Promise<number> {
  if (job?.state !== 'running' || job.endsAt === undefined || job.startedAt === undefined)
    throw new LrmError('refused', 'only a job that runs can be given more time');
  if (job.endsAt >= endsAt) return job.endsAt;
  const seconds = Math.ceil((endsAt - job.startedAt) / 1_000);
  const { code, stdout, stderr } = await run('qalter', [
    '-l',
    `walltime=${walltimeText(seconds)}`,
    job.jobId,
  ]);
  if (code !== 0)
    throw new LrmError(
      isOutage(stderr) ? 'unavailable' : 'refused',
      `PBS gives the job no more time (only its operators may, qalter(1B)): ${oneLine(stderr || stdout)}`,
    );
  return job.startedAt + seconds * 1_000;
}

/** Words of PBS's commands when its server cannot be reached or is not ready: another try may help. */
function isOutage(stderr: string): boolean {
  return /cannot connect to (default )?server|communication failure|connection (refused|timed out|reset)|no route to host|errno=15(01|03)\d|end of file|pbs_iff|server (is )?shutting down|time-?out|resource temporarily unavailable/i.test(
    stderr,
  );
}
