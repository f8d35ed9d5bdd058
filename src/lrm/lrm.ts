import { finalJobStates, type LrmJobState, type Outlook } from '../protocol/jobs.ts';

export { finalJobStates, type LrmJobState, type Outlook };

/**
 * The one interface to local resource managers (paper §3.1). A gang is one job of n nodes; inside it the LRM's
 * own launcher starts one pilot per node. Every member passes `lrm.contract.ts`, and `others.contract.ts` where others use it too; the factory is `lrm/index.ts`.
 */
export interface Lrm {
  /** The adapter's name (`lrm/index.ts` has them all). */
  readonly kind: string;
  /** It lives in this process: its list is never cut short, and an empty one is true. */
  readonly embedded?: true;

  /** What the site can give, read from the LRM now. Throws `LrmError` (`unavailable`). */
  capabilities(): Promise<LrmCapabilities>;

  /**
   * Submits one gang and returns the LRM's job id. Not idempotent by itself: after a crash, and
   * after an `unavailable`, the caller first looks for `jobName` in `list()`. Throws `LrmError`:
   * `refused` is final, `deferred` and `unavailable` may be tried again.
   */
  submit(request: GangRequest): Promise<string>;
  /**
   * Asks the LRM itself whether it would take this request as it is, without submitting anything.
   * Throws `LrmError` as `submit` would, with the LRM's own words: `refused`, `deferred`,
   * `unavailable`. What the LRM cannot be asked is checked against what it has.
   */
  dryRun(request: GangRequest): Promise<void>;

  /**
   * The jobs of this service's own user whose name starts with `wsp-`, in one query (never one per
   * job) whose cost does not grow with the jobs of others. A finished
   * job may be there for a while, or be gone. The list is whole, or there is none: an answer with
   * errors, or cut off, throws `LrmError` (`unavailable`).
   */
  list(): Promise<readonly LrmJob[]>;

  /** Ends a job in whatever state it is. A job that is unknown or has ended is not an error. Throws `LrmError` (`unavailable`). */
  cancel(jobId: string): Promise<void>;

  /**
   * Lets a running job end later, at `endsAt` (milliseconds since the epoch) or a little after; returns when. Throws `LrmError`: `refused` says why it is
   * not allowed (most sites let only operators do it).
   */
  extend(jobId: string, endsAt: number): Promise<number>;

  /**
   * Calls `listener` when the adapter itself learns that a job changed, so that the reconciler need not wait for its next round.
   * Adapters whose LRM tells nothing never call it. Returns the way to stop.
   */
  onChange(listener: () => void): () => void;

  /** Releases what the adapter holds in this process. Jobs go on, except those of an LRM that lives in this process (`local`). */
  close(): Promise<void>;
}

/** What a site can give, and what a pilot must know of its LRM. */
export interface LrmCapabilities {
  /** Nodes that a gang could ever have (in the queue that it would go to). */
  readonly nodes: number;
  /** Of those, how many do nothing just now; undefined when the LRM does not tell. */
  readonly idleNodes?: number;
  /** What is free on each node, of an LRM whose nodes are all ours; undefined: jobs wait in a queue, and nobody knows for how long. */
  readonly free?: readonly { readonly name: string; readonly memoryMiB: number; readonly cpus: number }[];
  /** Nodes that belong to us for good and are not there just now, of an LRM that knows. */
  readonly away?: readonly string[];
  /** Every size of node that a gang could have, with how many; absent: all nodes are alike. */
  readonly sizes?: readonly NodesOfSize[];
  /** The most that one node could give a job. */
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  /** The queue's longest job; undefined when it has no limit. */
  readonly maxWalltimeMs?: number;
  /** From the LRM's warning signal to its SIGKILL. */
  readonly killDelayMs: number;
  /** See SlotAssignment in the pilot protocol. */
  readonly nodeNameEnv: readonly string[];
  readonly jobEndEnv: readonly string[];
  /** Walltimes are rounded up to this. */
  readonly walltimeStepMs: number;
  /** How it was told to keep jobs' scripts, with secrets in them, for longer than the jobs. */
  readonly keepsScripts?: string;
}

/** Nodes that are alike. Those that can run nothing now (down, closed, in error) are not idle. */
export interface NodesOfSize {
  readonly nodes: number;
  readonly idleNodes?: number;
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** One job of n nodes, in terms that every LRM has. */
export interface GangRequest {
  /** `wsp-<slotId>`: how our jobs are found again. */
  readonly jobName: string;
  readonly nodes: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly walltimeMs: number;
  readonly queue?: string | undefined;
  readonly account?: string | undefined;
  /** Extra arguments of the site for the submit command, each one argument, after validation of the site file. */
  readonly options: readonly string[];
  /**
   * The program text that Node runs on every node, as a CommonJS module: the assignment with the slot's secret, then the pilot. It is a secret: adapters put it only where the job's user alone can read it.
   */
  readonly program: string;
}

/** What the LRM says of one of our jobs. */
export interface LrmJob {
  readonly jobId: string;
  readonly jobName: string;
  readonly state: LrmJobState;
  /** Why it waits, what is done before it runs, or how it ended: a sentence for the client. */
  readonly reason?: string | undefined;
  /** Of a job that waits: whether it will start by itself; absent: nobody knows. */
  readonly outlook?: Outlook | undefined;
  /** When the LRM expects to start it, milliseconds since the epoch. */
  readonly estimatedStartAt?: number | undefined;
  readonly startedAt?: number | undefined;
  /** When the LRM will end it, milliseconds since the epoch. */
  readonly endsAt?: number | undefined;
  readonly nodes: readonly string[];
  /** Those of its nodes that an administrator is taking out of service, of a running job; absent: the LRM does not tell. */
  readonly draining?: readonly DrainedNode[] | undefined;
}

/** A node on which nothing new begins; what runs there goes on. `reason`: the administrator's words, as the LRM has them; empty: none. */
export interface DrainedNode {
  readonly node: string;
  readonly reason: string;
}

/**
 * - `refused`: the LRM said no to the request itself; asking again gives the same answer.
 * - `deferred`: the LRM answers, and takes this request when something has passed (a limit of jobs
 *   in
 *   the queue): worth another try.
 * - `unavailable`: the LRM could not be asked, or what it said is no answer: worth another try.
 *   Whatever is not known to be one of the others is this.
 */
export class LrmError extends Error {
  readonly kind: 'refused' | 'deferred' | 'unavailable';
  constructor(kind: LrmError['kind'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LrmError';
    this.kind = kind;
  }
}

/** From the warning to the kill, of LRMs that are ours: as Slurm's own default (KillWait). */
export const ownKillDelayMs = 30_000;
