import { finalJobStates, type LrmJob } from '../lrm.ts';
import { forgetOldest } from '../oldest.ts';

/**
 * What PBS does not tell, or not again: that a job is being deleted (Torque), and how jobs ended whose history was asked for (OpenPBS). It is remembered in this process alone: a restart costs the reason,
 * never the end.
 *
 *   listed ─► not in the list any more ─► asked for, a few times at most ─► its end is known, or it is gone
 */
const most = 1_000;
const mostQuestions = 3;

/** What was seen of jobs. The oldest is forgotten. */
export class Memory {
  readonly #deleted = new Set<string>();
  readonly #ended = new Map<string, LrmJob>();
  /** Jobs that have left the list, and how often their history was asked for. */
  readonly #missing = new Map<string, number>();
  #listed: ReadonlySet<string> = new Set();

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
  noteSubmission(jobId: string): void {
    this.#listed = new Set([...this.#listed, jobId]);
  }

  /** What is listed now. Returns the ids of those that have left, whose history should be asked for. */
  look(listed: readonly LrmJob[]): readonly string[] {
    const now = new Set(listed.map(({ jobId }) => jobId));
    for (const jobId of this.#listed)
      if (!now.has(jobId) && !this.#ended.has(jobId)) this.#missing.set(jobId, 0);
    // Those that had ended when they were listed are known.
    this.#listed = new Set(
      listed.filter(({ state }) => !finalJobStates.has(state)).map(({ jobId }) => jobId),
    );
    for (const jobId of now) this.#missing.delete(jobId);
    for (const [jobId, questions] of this.#missing) {
      if (questions >= mostQuestions) this.#missing.delete(jobId);
      else this.#missing.set(jobId, questions + 1);
    }
    return [...this.#missing.keys()];
  }

  /** What their history says. */
  learn(jobs: readonly LrmJob[]): void {
    for (const job of jobs) {
      if (!finalJobStates.has(job.state)) continue;
      this.#ended.set(job.jobId, job);
      this.#missing.delete(job.jobId);
    }
    forgetOldest(this.#ended, most);
  }

  /** The ends that are known of jobs that are not listed. */
  get ended(): readonly LrmJob[] {
    return [...this.#ended.values()];
  }
}
