import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type GangRequest, LrmError } from './lrm.ts';

/**
 * The programs of jobs, each in a file that its user alone can read; a job removes its own when it is over (gridengine/job-script.ts, pbs/job-script.ts). What is left of jobs that never
 * started, or were killed, is swept.
 */
const ending = '.cjs';
/** A file is there before its job is in the LRM's list. */
const youngestMs = 120_000;

/** Where the program of a job is. */
export function programFile(directory: string, jobName: string): string {
  return join(directory, `${jobName}${ending}`);
}

/** Writes the program of a job. Throws `LrmError` (`unavailable`). */
export async function keepProgram(directory: string, { jobName, program }: GangRequest): Promise<string> {
  const path = programFile(directory, jobName);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // 'wx': what somebody has put there is not followed. A submit that is repeated begins with a clean place.
    await rm(path, { force: true });
    await writeFile(path, program, { mode: 0o600, flag: 'wx' });
    return path;
  } catch (cause) {
    throw new LrmError(
      'unavailable',
      `the program of ${jobName} cannot be written: ${(cause as Error).message}`,
      cause,
    );
  }
}

/** Removes the programs of jobs that are not `known` (names), unless they are new. What cannot be removed stays until the next time. */
export async function sweepPrograms(
  directory: string,
  known: ReadonlySet<string>,
  now: number,
): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const jobName = name.slice(0, -ending.length);
    if (!name.startsWith('wsp-') || !name.endsWith(ending) || known.has(jobName)) continue;
    const path = join(directory, name);
    const told = await stat(path).catch(() => undefined);
    if (told && now - told.mtimeMs > youngestMs) await rm(path, { force: true }).catch(() => undefined);
  }
}
