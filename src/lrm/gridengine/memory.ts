import { finalJobStates, type LrmJob } from '../lrm.ts';
import { forgetOldest } from '../oldest.ts';
import { lostWords } from './accounting.ts';

/**
 * What Grid Engine does not tell: of a job that is deleted before it starts it keeps nothing, of
 * one that is deleted later not that it was, and of one whose
 * node is lost not that either. So what was seen is remembered, in this process alone: a restart
 * costs the reason, never the end.
 *
 *   waiting ─► not in the list any more, nor in the accounting ─► it was deleted          being deleted ─► over ─► it was deleted
 *   its nodes do not answer ─► over, or not in the list any more ─► its nodes were lost; they answer again ─► forgotten
 */
const most = 1_000;
/** Nodes report every 40 s (sge_conf(5), load_report_time), also to a restarted sge_qmaster. */
const lostAfterMs = 45_000;

/** Nodes that do not answer: since when, and when they were last seen not to. */
interface Lost {
  readonly nodes: readonly string[];
  readonly since: number;
  readonly until: number;
}

/** What was seen of jobs. The oldest is forgotten. */
export class Memory {
  readonly #live = new Map<string, LrmJob>();
  readonly #gone = new Map<string, LrmJob>();
  readonly #ending = new Set<string>();
  readonly #lost = new Map<string, Lost>();
  readonly #words = new Map<string, string>();

  /** We, or somebody else, have had it deleted. */
  noteDeletion(jobId: string): void {
    this.#ending.add(jobId);
    forgetOldest(this.#ending, most);
  }

  /** Jobs that are, or were, being deleted. */
  get deletions(): ReadonlySet<string> {
    return this.#ending;
  }

  /** Nodes that do not answer, of each job that has such. */
  get silent(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#lost].map(([jobId, { nodes }]) => [jobId, nodes]));
  }

  /** Those of them that have not answered for so long that they count as lost. */
  get lost(): ReadonlyMap<string, readonly string[]> {
    const counted = [...this.#lost].filter(([, { since, until }]) => until - since >= lostAfterMs);
    return new Map(counted.map(([jobId, { nodes }]) => [jobId, nodes]));
  }

  /** Which nodes of a job do not answer at `now` (milliseconds since the epoch). */
  noteSilent(jobId: string, nodes: readonly string[], now: number): void {
    if (nodes.length > 0)
      this.#lost.set(jobId, { nodes, since: this.#lost.get(jobId)?.since ?? now, until: now });
    else this.#lost.delete(jobId);
    forgetOldest(this.#lost, most);
  }

  /** The last that a job said, which is read once: its file is removed then. */
  noteWords(jobId: string, words: string): void {
    if (words !== '') this.#words.set(jobId, words);
    forgetOldest(this.#words, most);
  }

  /** What was noted of it. */
  wordsOf(jobId: string): string | undefined {
    return this.#words.get(jobId);
  }

  /** Returns the jobs that are in neither any more: deleted in the queue, or with a lost node. */
  look(listed: readonly LrmJob[], ended: readonly LrmJob[]): readonly LrmJob[] {
    const known = new Set([...listed, ...ended].map(({ jobId }) => jobId));
    for (const [jobId, job] of this.#live) if (!known.has(jobId)) this.#leave(job);
    this.#live.clear();
    for (const job of listed) {
      if (!finalJobStates.has(job.state)) this.#live.set(job.jobId, job);
      if (job.state === 'ending') this.noteDeletion(job.jobId);
    }
    // Grid Engine may write the accounting later.
    for (const jobId of known) this.#gone.delete(jobId);
    forgetOldest(this.#gone, most);
    return [...this.#gone.values()];
  }

  #leave(job: LrmJob): void {
    const lost = this.lost.get(job.jobId);
    if (lost) this.#gone.set(job.jobId, { ...job, state: 'node-failed', reason: lostWords(lost) });
    else if (job.state === 'waiting')
      this.#gone.set(job.jobId, { ...job, state: 'cancelled', reason: 'the job was deleted in the queue' });
  }
}
