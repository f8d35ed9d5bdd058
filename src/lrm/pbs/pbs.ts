import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands } from '../commands.ts';
import { oneLine } from '../../platform/one-line.ts';
import { finalJobStates, type GangRequest, type Lrm, LrmError, type LrmJob } from '../lrm.ts';
import { removeProgram, sweepPrograms } from '../programs.ts';
import { askSite, type Dialect, dialects } from './dialect.ts';
import { learn, learnEnds } from './ends.ts';
import { toJob } from './job.ts';
import { walltimeText } from './job-script.ts';
import { Memory } from './memory.ts';
import type { PbsSettings } from './section.ts';
import { capabilitiesOf } from './server.ts';
import { submitGang, wouldTake } from './submit.ts';
import { errorKind } from './words.ts';

/** The adapter for PBS: qsub, one qstat for all jobs, qdel. It changes nothing of PBS and needs no privilege in it. */
export function pbs(settings: PbsSettings, processes: ProcessRunner, clock: Clock): Lrm {
  const commands = commandsOf(settings, processes);
  const { dialect: name, programDir = join(homedir(), '.workspace-pilot', 'pbs'), binDir } = settings;
  const dialect = dialects[name];
  const memory = new Memory();
  const parts = { commands, name, dialect, programDir, node: settings.node ?? 'node', binDir };
  const listed = (): Promise<readonly LrmJob[]> => liveJobs(commands, dialect, memory);
  return {
    kind: 'pbs',

    async capabilities() {
      const site = await askSite(dialect, commands);
      const known = capabilitiesOf(site, settings.queue, dialect.defaultKillDelaySeconds);
      if (known) return known;
      throw new LrmError('unavailable', `PBS has no queue ${settings.queue ?? '(default)'}`);
    },

    async submit(request: GangRequest): Promise<string> {
      const jobId = await submitGang(request, parts);
      memory.noteSubmission(jobId, request.jobName);
      return jobId;
    },

    dryRun: request => wouldTake(request, parts),

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

async function liveJobs(commands: LrmCommands, dialect: Dialect, memory: Memory): Promise<readonly LrmJob[]> {
  const user = userInfo().username;
  // Another user's jobs may have our names.
  const ours = (await dialect.jobs(commands, user)).filter(({ owner }) => owner.split('@')[0] === user);
  return ours.map(job => toJob(job, memory.isDeleted(job.jobId)));
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
