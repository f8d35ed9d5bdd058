import { oneLine } from '../../platform/one-line.ts';
import type { LrmJob, LrmJobState } from '../lrm.ts';
import { lastWordsMark } from './batch-script.ts';
import { expandHostlist } from './hostlist.ts';
import { stateOf, stateWords } from './states.ts';
import { type AskTable, given } from './table.ts';
import { type Waiting, waitingFor } from './waiting.ts';

const fields = [
  'JobID',
  'UserID',
  'State',
  'Reason',
  'StartTime',
  'EndTime',
  'PreemptTime',
  'NodeList',
  'Name',
  'Comment',
] as const;

/**
 * The jobs of this user whose names begin with `wsp-`, those that ended lately too. In text:
 * squeue's JSON is of everybody's jobs in Slurm 22.05, whatever it is
 * asked for, and a question about one user is answered by slurmctld with that user's jobs alone.
 * Throws `LrmError` (`unavailable`).
 */
export async function askJobs(askTable: AskTable, uid: number): Promise<readonly LrmJob[]> {
  const rows = await askTable('squeue', [`--user=${uid}`, '-t', 'all'], fields);
  return rows
    .map(row => Object.fromEntries(fields.map((field, index) => [field, row[index] ?? ''])) as SqueueJob)
    .filter(job => job.UserID === String(uid) && job.Name.startsWith('wsp-'))
    .map(toJob);
}

type SqueueJob = Readonly<Record<(typeof fields)[number], string>>;

function toJob(job: SqueueJob): LrmJob {
  const words = stateWords(job.State);
  const nodes = expandHostlist(given(job.NodeList) ?? '');
  // A word of a version to come is no end.
  const known = stateOf(words) ?? (nodes.length > 0 ? 'running' : 'waiting');
  const state = known === 'running' && job.Reason === 'Prolog' ? 'starting' : known;
  const startMs = milliseconds(job.StartTime);
  const { reason, outlook } = reasonOf(state, words, job);
  return {
    jobId: job.JobID,
    jobName: job.Name,
    state,
    reason,
    ...(outlook === undefined ? {} : { outlook }),
    estimatedStartAt: state === 'waiting' ? startMs : undefined,
    startedAt: state === 'waiting' ? undefined : startMs,
    // The end of one that is being preempted is that of its grace, not of its walltime: its pilots are told by their signal.
    endsAt:
      state === 'waiting' || given(job.PreemptTime) !== undefined ? undefined : milliseconds(job.EndTime),
    nodes,
  };
}

/** Seconds since the epoch, as `SLURM_TIME_FORMAT` asks for them. */
function milliseconds(text: string): number | undefined {
  return /^[1-9][0-9]*$/.test(text) ? Number(text) * 1_000 : undefined;
}

function reasonOf(state: LrmJobState, words: readonly string[], job: SqueueJob): Partial<Waiting> {
  const said = job.Reason === 'None' ? '' : oneLine(job.Reason);
  switch (state) {
    case 'waiting':
      return waitingFor(said) ?? {};
    case 'starting':
      return { reason: said === 'Prolog' ? 'the prolog runs' : 'its nodes are being made ready' };
    case 'cancelled':
      return { reason: 'the job was cancelled (scancel)' };
    case 'preempted':
      return { reason: 'a job of higher priority needed its nodes' };
    case 'timeout':
      return { reason: "the job reached Slurm's time limit" };
    case 'node-failed':
      return { reason: 'Slurm has lost a node of the job' };
    case 'failed':
      return { reason: failure(words, said, lastWordsOf(job)) };
    case 'suspended':
      return { reason: 'the job is suspended' };
    case 'running':
      return stateOf(words) === undefined ? { reason: `Slurm says: ${words.join(', ')}` } : {};
    case 'ending':
    case 'completed':
      return {};
  }
}

/** The last words of its output, which the job itself has left (batch-script.ts). */
function lastWordsOf({ Comment }: SqueueJob): string {
  return Comment.startsWith(lastWordsMark) ? oneLine(Comment.slice(lastWordsMark.length)) : '';
}

function failure(words: readonly string[], said: string, last: string): string {
  const why = [said, last].filter(each => each !== '').join(': ');
  return `Slurm ended the job: ${words.join(', ')}${why === '' ? '' : ` (${why})`}`;
}
