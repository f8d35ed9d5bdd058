import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { formatDuration } from '../../protocol/units.ts';
import { type LrmCommands, lrmCommands, oneLine } from '../commands.ts';
import { finalJobStates, type GangRequest, type Lrm, LrmError, type LrmJob } from '../lrm.ts';
import { keepProgram, programFile, removeProgram, sweepPrograms, takeWords, wordsFile } from '../programs.ts';
import { type Dialect, dialectOf } from './dialect.ts';
import { toJob } from './job.ts';
import { jobScript, type PbsDialect, qsubArguments, walltimeText } from './job-script.ts';
import { Memory } from './memory.ts';
import { capabilitiesOf, nodesOfQueue, type PbsSite } from './server.ts';
import { errorKind } from './words.ts';

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
      const { jobName } = request;
      const script = jobScript(name, {
        programFile: programFile(programDir, jobName),
        wordsFile: wordsFile(programDir, jobName),
        node: settings.node ?? 'node',
        binDir,
      });
      await refuseImpossible(commands, dialect, request);
      await keepProgram(programDir, request);
      const jobId = await qsub(commands, qsubArguments(name, request), script);
      memory.noteSubmission(jobId, jobName);
      return jobId;
    },

    // PBS has no way to be asked without submitting: what it has is compared.
    async dryRun(request: GangRequest): Promise<void> {
      refuseForQueue(await dialect.site(commands), request);
      await refuseImpossible(commands, dialect, request);
    },

    async list(): Promise<readonly LrmJob[]> {
      const live = await listed();
      await learnEnds(memory.look(live), { commands, dialect, memory, programDir });
      for (const job of live) if (finalJobStates.has(job.state)) await learn(memory, programDir, job);
      const waitsOrRuns = live.filter(({ state }) => !finalJobStates.has(state));
      await sweepPrograms(programDir, new Set(waitsOrRuns.map(({ jobName }) => jobName)), clock.now());
      return [...waitsOrRuns, ...memory.ended];
    },

    async cancel(jobId: string): Promise<void> {
      const { code, stdout, stderr } = await commands.run('qdel', [jobId]);
      const said = oneLine(stderr || stdout);
      // A job that is gone is what was wanted.
      if (code !== 0 && !isGone(said)) throw new LrmError('unavailable', `qdel: ${said}`);
      if (code === 0) memory.noteDeletion(jobId);
      const seen = memory.seen(jobId);
      if (seen && !seen.hasRun) await removeProgram(programDir, seen.jobName);
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
  const kind = code === 0 ? 'unavailable' : errorKind(code, words);
  const what = {
    refused: 'PBS refused the job',
    deferred: 'PBS takes no such job just now',
    unavailable: 'PBS could not be asked',
  }[kind];
  throw new LrmError(kind, `${what}: ${words || `qsub exited with ${code} and no word`}`);
}

async function liveJobs(commands: LrmCommands, dialect: Dialect, memory: Memory): Promise<readonly LrmJob[]> {
  const user = userInfo().username;
  // Another user's jobs may have our names.
  const ours = (await dialect.jobs(commands, user)).filter(({ owner }) => owner.split('@')[0] === user);
  return ours.map(job => toJob(job, memory.isDeleted(job.jobId)));
}

/**
 * Asks how jobs ended that have left the list, or whether nothing is known of them any more: then they
 * are gone. Throws `LrmError` (`unavailable`) while the server says neither of one of them.
 */
async function learnEnds(
  jobIds: readonly string[],
  parts: {
    readonly commands: LrmCommands;
    readonly dialect: Dialect;
    readonly memory: Memory;
    readonly programDir: string;
  },
): Promise<void> {
  if (jobIds.length === 0) return;
  const { commands, dialect, memory, programDir } = parts;
  const { jobs, unknown } = await dialect.history(commands, jobIds);
  for (const jobId of unknown) memory.forget(jobId);
  for (const told of jobs) {
    const job = toJob(told, memory.isDeleted(told.jobId));
    if (finalJobStates.has(job.state)) await learn(memory, programDir, job);
  }
  const left = jobIds.filter(jobId => !unknown.has(jobId) && !memory.endOf(jobId));
  if (left.length === 0) return;
  throw new LrmError('unavailable', `qstat does not list ${left.join(', ')}, and does not say why`);
}

/** Remembers how a job ended, with the last words of one that failed, and removes what it has left. */
async function learn(memory: Memory, programDir: string, job: LrmJob): Promise<void> {
  if (memory.endOf(job.jobId)) return;
  const words = await takeWords(programDir, job.jobName);
  await removeProgram(programDir, job.jobName);
  const reason = job.state === 'failed' && words !== '' ? `${job.reason}: ${words}` : job.reason;
  memory.learn({ ...job, reason });
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

/** What qsub would say of the queue. Throws `LrmError` (`refused`, `deferred`). */
function refuseForQueue({ queues, server, defaultQueue }: PbsSite, request: GangRequest): void {
  const name = request.queue ?? defaultQueue;
  if (name === undefined) return;
  const queue = queues.get(name);
  if (!queue) throw new LrmError('refused', `PBS has no queue ${name}`);
  if (!queue.isEnabled)
    throw new LrmError('deferred', `the queue ${name} of PBS takes no jobs just now: it is not enabled`);
  const most = queue.maxWalltimeSeconds ?? server.maxWalltimeSeconds ?? Infinity;
  if (request.walltimeMs > most * 1_000)
    throw new LrmError(
      'refused',
      `the longest job of the queue ${name} of PBS is ${formatDuration(most * 1_000)}`,
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
      errorKind(code, stderr || stdout) === 'refused' ? 'refused' : 'unavailable',
      `PBS gives the job no more time (only its operators may, qalter(1B)): ${oneLine(stderr || stdout)}`,
    );
  return job.startedAt + seconds * 1_000;
}

/** What qdel(1B) says of a job that is unknown or has ended. */
function isGone(said: string): boolean {
  return /unknown job id|nonexistent job id|job has finished|invalid for state of job/i.test(said);
}
