import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endOfFile } from './file-end.ts';
import { type GangRequest, LrmError } from './lrm.ts';

/**
 * The programs of jobs, each in a file that its user alone can read; a job removes its own when it is over (gridengine/job-script.ts, pbs/job-script.ts). What is left of jobs that never
 * started, or were killed, is swept.
 */
const ending = '.cjs';
/** What its script and pilots said of what went wrong. */
const wordsEnding = '.said';
const mostWordsBytes = 2_000;
const mostLines = 5;
/** A file is there before its job is in the LRM's list. */
const youngestMs = 120_000;

/** Throws `LrmError` (`refused`) when one of these would not be one word of a job script. */
export function requireWords(...words: readonly string[]): void {
  const wrong = words.find(word => !/^[A-Za-z0-9._/+-]+$/.test(word));
  if (wrong !== undefined) throw new LrmError('refused', `a job script cannot take this path: ${wrong}`);
}

/** Where the program of a job is. */
export function programFile(directory: string, jobName: string): string {
  return join(directory, `${jobName}${ending}`);
}

/** Where a job's script and pilots write what went wrong, for those who can see it no other way. */
export function wordsFile(directory: string, jobName: string): string {
  return join(directory, `${jobName}${wordsEnding}`);
}

/** The last of those words on one line, empty when there are none. They are removed. */
export async function takeWords(directory: string, jobName: string): Promise<string> {
  const path = wordsFile(directory, jobName);
  const end = await endOfFile(path, mostWordsBytes);
  if (end === undefined) return '';
  await rm(path, { force: true }).catch(() => undefined);
  const lines = end.text.split('\n').map(line => line.trim());
  return lines.filter(Boolean).slice(-mostLines).join('; ');
}

/** Removes the program of a job that needs it no more. */
export async function removeProgram(directory: string, jobName: string): Promise<void> {
  await rm(programFile(directory, jobName), { force: true }).catch(() => undefined);
}

/** Writes the program of a job. Throws `LrmError` (`unavailable`). */
export async function keepProgram(directory: string, { jobName, program }: GangRequest): Promise<string> {
  const path = programFile(directory, jobName);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // 'wx': what somebody has put there is not followed. A submit that is repeated begins with a clean place.
    await rm(path, { force: true });
    await rm(wordsFile(directory, jobName), { force: true });
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
    const [, jobName] = /^(wsp-.+)\.(?:cjs|said)$/.exec(name) ?? [];
    if (jobName === undefined || known.has(jobName)) continue;
    const path = join(directory, name);
    const told = await stat(path).catch(() => undefined);
    if (told && now - told.mtimeMs > youngestMs) await rm(path, { force: true }).catch(() => undefined);
  }
}

/** The names of jobs with a file for their words: all that have begun, if they make it first. */
export async function begunJobs(directory: string): Promise<ReadonlySet<string>> {
  const names = await readdir(directory).catch(() => []);
  return new Set(
    names.filter(name => name.endsWith(wordsEnding)).map(name => name.slice(0, -wordsEnding.length)),
  );
}
