import type { LrmJob } from '../lrm.ts';
import { forgetOldest } from '../oldest.ts';

/**
 * What Grid Engine does not tell: of a job that is deleted before it starts it keeps nothing, and of one that is deleted later not that it was. So what was seen is
 * remembered, in this process alone: a restart costs the reason, never the end.
 *
 *   waiting ─► not in the list any more, nor in the accounting ─► it was deleted          being deleted ─► over ─► it was deleted
 */
const most = 1_000;

/** What was seen of jobs. The oldest is forgotten. */
export class Memory {
  readonly #waiting = new Map<string, LrmJob>();
  readonly #deleted = new Map<string, LrmJob>();
  readonly #ending = new Set<string>();

  /** We, or somebody else, have had it deleted. */
  noteDeletion(jobId: string): void {
    this.#ending.add(jobId);
    forgetOldest(this.#ending, most);
  }

  /** Jobs that are, or were, being deleted. */
  get deletions(): ReadonlySet<string> {
    return this.#ending;
  }

  /** What is listed now, and what has ended. Returns the jobs that were deleted in the queue. */
  look(listed: readonly LrmJob[], ended: readonly LrmJob[]): readonly LrmJob[] {
    const known = new Set([...listed, ...ended].map(({ jobId }) => jobId));
    for (const [jobId, job] of this.#waiting)
      if (!known.has(jobId))
        this.#deleted.set(jobId, { ...job, state: 'cancelled', reason: 'the job was deleted in the queue' });
    this.#waiting.clear();
    for (const job of listed) {
      if (job.state === 'waiting') this.#waiting.set(job.jobId, job);
      if (job.state === 'ending') this.noteDeletion(job.jobId);
    }
    // Grid Engine may write the accounting later.
    for (const jobId of known) this.#deleted.delete(jobId);
    forgetOldest(this.#deleted, most);
    return [...this.#deleted.values()];
  }
}
