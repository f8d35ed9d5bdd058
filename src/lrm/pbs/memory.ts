import { finalJobStates, type LrmJob } from '../lrm.ts';
import { forgetOldest } from '../oldest.ts';

/**
 * What PBS does not tell, or not again: that a job is being deleted (Torque), and how jobs ended
 * that
 * have left its list. It is remembered in this process alone: a restart costs the reason, never the
 * end.
 *
 *   listed ─► not in the list any more ─► asked for until the server tells ─► its end is known, or that it knows no such job
 */
const most = 1_000;

/** What is known of a job that has not ended. */
interface Seen {
  readonly jobName: string;
  /** It has been given nodes. */
  readonly hasRun: boolean;
}

/** What was seen of jobs. The oldest is forgotten. */
export class Memory {
  readonly #deleted = new Set<string>();
  readonly #ended = new Map<string, LrmJob>();
  /** Jobs that were there when last asked, or are missing since. */
  readonly #seen = new Map<string, Seen>();

  /** We have ordered its end. */
  noteDeletion(jobId: string): void {
    this.#deleted.add(jobId);
    forgetOldest(this.#deleted, most);
  }

  /** Whether we have ordered its end. */
  isDeleted(jobId: string): boolean {
    return this.#deleted.has(jobId);
  }

  /** A job that the server has taken, and may have ended before the next list. */
  noteSubmission(jobId: string, jobName: string): void {
    this.#seen.set(jobId, { jobName, hasRun: false });
  }

  /** A job as it was last seen, if it had not ended. */
  seen(jobId: string): Seen | undefined {
    return this.#seen.get(jobId);
  }

  /** What is listed now. Returns the ids of those that have left, whose end must be asked for. */
  look(listed: readonly LrmJob[]): readonly string[] {
    const now = new Set(listed.map(({ jobId }) => jobId));
    for (const { jobId, jobName, state } of listed)
      if (finalJobStates.has(state)) this.#seen.delete(jobId);
      else this.#seen.set(jobId, { jobName, hasRun: state !== 'waiting' });
    return [...this.#seen.keys()].filter(jobId => !now.has(jobId));
  }

  /** How a job has ended. */
  learn(job: LrmJob): void {
    this.#seen.delete(job.jobId);
    this.#ended.set(job.jobId, job);
    forgetOldest(this.#ended, most);
  }

  /** The server knows no such job any more. */
  forget(jobId: string): void {
    this.#seen.delete(jobId);
  }

  /** How a job ended, if that is known. */
  endOf(jobId: string): LrmJob | undefined {
    return this.#ended.get(jobId);
  }

  /** The ends that are known. */
  get ended(): readonly LrmJob[] {
    return [...this.#ended.values()];
  }
}
