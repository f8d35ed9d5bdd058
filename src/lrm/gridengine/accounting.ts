import { endOfFile } from '../file-end.ts';
import type { LrmJob } from '../lrm.ts';
import { listed } from './reasons.ts';

/** What is known of jobs beside the accounting, which has neither. */
export interface Known {
  /** Whose jobs are ours. */
  readonly owner: string;
  /** Jobs that were, or are being, deleted. */
  readonly deletions: ReadonlySet<string>;
  /** Jobs of which Grid Engine has lost nodes, and which. */
  readonly lost: ReadonlyMap<string, readonly string[]>;
}

/**
 * How jobs ended, from the end of Grid Engine's accounting file (accounting(5)): qstat forgets a
 * job as soon as it is over. A file that is not there, or not for us, tells
 * nothing. Grid Engine may write it a while later (sge_conf(5), accounting_flush_time).
 */
export async function endedJobs(path: string | undefined, known: Known): Promise<readonly LrmJob[]> {
  const lines = path === undefined ? [] : await lastLines(path);
  return lines.flatMap(line => endedJob(line, known) ?? []);
}

/** Enough for some hundreds of jobs; the whole file may have years of them. */
const readBytes = 256 * 1024;

/** Field numbers of accounting(5), from 0. A line is of a job, or of one of its tasks (`petask`). */
const fields = {
  owner: 3,
  name: 4,
  number: 5,
  start: 9,
  end: 10,
  failed: 11,
  exitStatus: 12,
  category: 39,
  petask: 41,
} as const;

/** Newer Grid Engines count in milliseconds, which seconds do not reach for thousands of years. */
const leastMs = 100_000_000_000;

/** A time of the file in milliseconds since the epoch. */
function timeMs(text: string): number {
  const time = Number(text);
  return time < leastMs ? time * 1_000 : time;
}

/** What `failed` is when sge_qmaster itself has ended a job at its limit. */
const limitEnforced = 37;
/** What `failed` is when a node's daemon does not know how the job ended (sge_status(5)). */
const nodeLost: ReadonlySet<number> = new Set([19, 21]);

/** One line of the file; undefined when it is not of a job of ours. */
export function endedJob(line: string, { owner, deletions, lost }: Known): LrmJob | undefined {
  const values = line.split(':');
  const value = (field: keyof typeof fields): string => values[fields[field]] ?? '';
  const isOurs = value('name').startsWith('wsp-') && value('owner') === owner;
  if (!isOurs || value('petask') !== 'NONE') return undefined;
  const jobId = value('number');
  const [start, end] = [timeMs(value('start')), timeMs(value('end'))];
  const limitSeconds = Number(
    /\bh_rt=(?<seconds>[0-9]+)/.exec(value('category'))?.groups?.['seconds'] ?? Infinity,
  );
  const [failed, exitStatus] = [Number(value('failed')), Number(value('exitStatus'))];
  const how = ((): Pick<LrmJob, 'state' | 'reason'> => {
    const nodes = lost.get(jobId);
    if (nodes) return { state: 'node-failed', reason: lostWords(nodes) };
    // Grid Engine shows both as being deleted.
    if ((start > 0 && end - start >= limitSeconds * 1_000) || failed === limitEnforced)
      return { state: 'timeout', reason: 'the job reached its time limit' };
    if (deletions.has(jobId)) return { state: 'cancelled', reason: 'the job was deleted' };
    if (failed === 0 && exitStatus === 0) return { state: 'completed', reason: undefined };
    return {
      state: nodeLost.has(failed) ? 'node-failed' : 'failed',
      reason: whyFailed(failed, exitStatus),
    };
  })();
  return {
    jobId,
    jobName: value('name'),
    ...how,
    startedAt: start === 0 ? undefined : start,
    endsAt: end === 0 ? undefined : end,
    nodes: [],
  };
}

/** Of a job whose nodes do not answer. */
export function lostWords(nodes: readonly string[]): string {
  return `Grid Engine does not hear of ${listed(nodes)} any more`;
}

/** sge_status(5): `failed` is Grid Engine's own trouble with the job; 100 with an exit status over 128 is a signal. */
function whyFailed(failed: number, exitStatus: number): string {
  if (exitStatus > 128) return `the job was ended with signal ${exitStatus - 128}`;
  if (exitStatus === 77)
    return "the job could not read the pilot's program: is lrm.programDir the same on all nodes?";
  if (nodeLost.has(failed))
    return `Grid Engine lost sight of the job on its node (failed: ${failed}, see sge_status(5))`;
  if (failed !== 0) return `Grid Engine could not run the job (failed: ${failed}, see sge_status(5))`;
  return `a pilot ended with exit code ${exitStatus}`;
}

async function lastLines(path: string): Promise<readonly string[]> {
  const end = await endOfFile(path, readBytes);
  const lines = end?.text.split('\n') ?? [];
  // The first may be the end of a longer one.
  return end?.isWhole ? lines : lines.slice(1);
}
