import { rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { LrmCommands } from '../commands.ts';
import { finalJobStates, LrmError, type LrmJob } from '../lrm.ts';
import { removeProgram, takeWords } from '../programs.ts';
import type { Dialect } from './dialect.ts';
import { toJob } from './job.ts';
import type { Memory } from './memory.ts';

/**
 * Asks how jobs ended that have left the list, or whether nothing is known of them any more: then
 * they are gone. Throws `LrmError` (`unavailable`) while the server says neither of one of them.
 */
export async function learnEnds(
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

/** Remembers how a job ended, with the last words of one that failed; removes what it has left. */
export async function learn(memory: Memory, programDir: string, job: LrmJob): Promise<void> {
  if (memory.endOf(job.jobId)) return;
  const words = await takeWords(programDir, job.jobName);
  // What PBS kept (-k oe) of a job that ended before its script could remove it, if in our home.
  const kept = join(homedir(), `${job.jobName}.o${job.jobId.split('.')[0]}`);
  await rm(kept, { force: true }).catch(() => undefined);
  await removeProgram(programDir, job.jobName);
  const reason = job.state === 'failed' && words !== '' ? `${job.reason}: ${words}` : job.reason;
  memory.learn({ ...job, reason });
}
