import type { Clock } from '../platform/clock.ts';
import {
  finalJobStates,
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
  type LrmJobState,
} from './lrm.ts';
import { capacityOf } from './sizes.ts';

/** A node and what it has, or has left. */
export interface Room {
  readonly name: string;
  readonly memoryMiB: number;
  readonly cpus: number;
}

/**
 * The scheduler of an LRM that is ours (`local`, `static`): first come, first served. A job starts
 * when enough nodes have the memory and processors that it wants; none overtakes it. A member
 * brings the nodes, and what runs a job on them.
 *
 *   waiting ─► running ─► completed | failed | timeout
 *      │          └─► ending ─► cancelled | timeout | failed
 *      └─► cancelled
 *
 * Invariants: a job is kept (`keep`) before `submit` answers, and before its nodes hear of it; a
 * node has no more than it can carry. If we crash here: what `keep` has is what the next life
 * begins with.
 */
export abstract class FirstComeLrm implements Lrm {
  abstract readonly kind: string;
  readonly embedded = true;
  protected readonly clock: Clock;
  readonly #listeners = new Set<() => void>();
  #jobs: Job[];
  #lastId: number;

  /** `kept`: the jobs of the last life. `lastId`: the new jobs' ids are greater than this. */
  constructor(clock: Clock, kept: readonly KeptJob[] = [], lastId = 0) {
    this.clock = clock;
    this.#jobs = kept.map(jobOf);
    this.#lastId = Math.max(lastId, ...kept.map(({ id }) => Number(id)));
  }

  /** What the site can give that does not follow from its nodes. */
  protected abstract readonly site: Pick<LrmCapabilities, 'killDelayMs' | 'jobEndEnv'>;
  /** All nodes. `away`: it is ours, but nothing can begin there now. */
  protected abstract rooms(): readonly (Room & { readonly away?: boolean })[];
  /** Begins the job on each of its nodes; `endedOn` is called for each when it has ended there. */
  protected abstract run(job: Job): void;
  /** Has the job end where it has not: a warning now, the end after the kill delay. */
  protected abstract stop(job: Job): void;
  /** The job's end (`endsAt`) has moved. */
  protected abstract moveEnd(job: Job): void;
  /** Keeps a job for the next life. Throws when it cannot. */
  protected abstract keep(job: KeptJob): void;
  /** The job has ended everywhere. */
  protected abstract forget(jobId: string): void;
  abstract close(): Promise<void>;

  capabilities(): Promise<LrmCapabilities> {
    const rooms = this.rooms();
    const busy = new Set(this.#jobs.flatMap(({ on }) => [...on]));
    const { sizes: _, ...capacity } = capacityOf(
      rooms.map(room => ({ ...room, idle: !room.away && !busy.has(room.name) })),
    );
    return Promise.resolve({
      ...capacity,
      free: this.#free(),
      away: rooms.filter(({ away }) => away).map(({ name }) => name),
      nodeNameEnv: ['WSP_NODE'],
      walltimeStepMs: 1_000,
      ...this.site,
    });
  }

  async dryRun(request: GangRequest): Promise<void> {
    const rooms = this.rooms();
    if (nodesFor(request, rooms)) return;
    const wanted = `${request.nodes} nodes with ${request.memoryMiBPerNode} MiB and ${request.cpusPerNode} processors each are wanted`;
    const there = `of the ${rooms.length} nodes of this pool, fewer are that large`;
    throw new LrmError('refused', `${wanted}; ${there}`);
  }

  async submit(request: GangRequest): Promise<string> {
    await this.dryRun(request);
    this.#lastId += 1;
    const id = String(this.#lastId);
    const job = jobOf({ id, request, nodes: [], startedAt: null, endsAt: null });
    this.#keep(job);
    this.#jobs.push(job);
    this.schedule();
    return job.id;
  }

  list(): Promise<readonly LrmJob[]> {
    return Promise.resolve(
      this.#jobs.map(({ id, request, state, reason, startedAt, endsAt, nodes }) => ({
        jobId: id,
        jobName: request.jobName,
        state,
        reason: state === 'waiting' ? 'it waits for nodes to become free' : reason,
        startedAt: startedAt ?? undefined,
        endsAt: endsAt ?? undefined,
        nodes,
      })),
    );
  }

  cancel(jobId: string): Promise<void> {
    const job = this.job(jobId);
    if (job) this.end(job, 'cancelled', 'the job was cancelled');
    return Promise.resolve();
  }

  async extend(jobId: string, endsAt: number): Promise<number> {
    const job = this.job(jobId);
    if (job?.state !== 'running' || job.endsAt === null)
      throw new LrmError('refused', 'only a job that runs can be given more time');
    const moved = { ...job, endsAt: Math.max(job.endsAt, endsAt) };
    this.#keep(moved);
    job.endsAt = moved.endsAt;
    this.moveEnd(job);
    this.tell();
    return moved.endsAt;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected job(jobId: string): Job | undefined {
    return this.#jobs.find(({ id }) => id === jobId);
  }

  /** The jobs that have not ended. */
  protected live(): readonly Job[] {
    return this.#jobs.filter(({ state }) => !finalJobStates.has(state));
  }

  /** Starts waiting jobs in order until one does not fit. */
  protected schedule(): void {
    for (const job of this.#jobs.filter(({ state }) => state === 'waiting')) {
      const nodes = nodesFor(job.request, this.#free());
      if (!nodes || !this.#start(job, nodes)) break;
    }
    this.tell();
  }

  protected end(job: Job, as: 'cancelled' | 'timeout' | 'failed', reason: string): void {
    if (job.state === 'waiting') {
      job.reason = reason;
      return this.#finish(job, as);
    }
    if (job.state !== 'running') return;
    Object.assign(job, { state: 'ending', endAs: as, reason });
    this.stop(job);
    this.tell();
  }

  /** It has ended on one of its nodes. `failure`: how, unless well; what `end` has said of the job goes before it. */
  protected endedOn(job: Job, node: string, failure?: string, as?: 'timeout'): void {
    if (!job.on.delete(node)) return;
    job.endAs ??= as;
    job.reason ??= failure;
    if (job.on.size === 0)
      this.#finish(job, job.endAs ?? (job.reason === undefined ? 'completed' : 'failed'));
    else this.schedule();
  }

  /** Nobody is told of anything from now on. */
  protected silence(): void {
    this.#listeners.clear();
  }

  protected tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #keep(job: KeptJob): void {
    try {
      this.keep(job);
    } catch (cause) {
      throw new LrmError('unavailable', 'the job could not be stored', cause);
    }
  }

  /** False when it cannot be kept: then it waits on. */
  #start(job: Job, nodes: readonly string[]): boolean {
    const startedAt = this.clock.now();
    const started = { ...job, nodes, startedAt, endsAt: startedAt + job.request.walltimeMs };
    try {
      // Before its nodes hear of it: what they run is always known to the next life.
      this.keep(started);
    } catch {
      return false;
    }
    Object.assign(job, jobOf(started));
    this.run(job);
    return true;
  }

  #finish(job: Job, state: LrmJobState): void {
    job.state = state;
    this.forget(job.id);
    const finished = this.#jobs.filter(each => finalJobStates.has(each.state));
    const forgotten = new Set(finished.slice(0, Math.max(0, finished.length - mostFinished)));
    this.#jobs = this.#jobs.filter(each => !forgotten.has(each));
    this.schedule();
  }

  /** What is left of the nodes that are there. */
  #free(): readonly Room[] {
    const there = this.rooms().filter(({ away }) => !away);
    return there.map(({ name, memoryMiB, cpus }) => {
      const here = this.#jobs.flatMap(({ request, on }) => (on.has(name) ? request : []));
      return {
        name,
        memoryMiB: here.reduce((left, { memoryMiBPerNode }) => left - memoryMiBPerNode, memoryMiB),
        cpus: here.reduce((left, { cpusPerNode }) => left - cpusPerNode, cpus),
      };
    });
  }
}

/** The first nodes with room for a gang; undefined when it does not fit now. */
function nodesFor(
  { nodes, memoryMiBPerNode, cpusPerNode }: GangRequest,
  room: readonly Room[],
): readonly string[] | undefined {
  const fitting = room.filter(({ memoryMiB, cpus }) => memoryMiB >= memoryMiBPerNode && cpus >= cpusPerNode);
  return fitting.length < nodes ? undefined : fitting.slice(0, nodes).map(({ name }) => name);
}

/** A job as it is kept: all that a later life of the service needs to go on with it. */
export interface KeptJob {
  readonly id: string;
  readonly request: GangRequest;
  /** Names of its nodes; none while it waits. */
  readonly nodes: readonly string[];
  readonly startedAt: number | null;
  readonly endsAt: number | null;
}

/** A job of this life. */
export interface Job extends KeptJob {
  state: LrmJobState;
  reason: string | undefined;
  endsAt: number | null;
  /** The nodes on which it has not ended. */
  on: Set<string>;
  endAs: 'cancelled' | 'timeout' | 'failed' | undefined;
}

/** Finished jobs stay in the list, the oldest forgotten beyond this many. */
const mostFinished = 100;

/** A job that has its nodes runs there, until something else is heard. */
function jobOf(kept: KeptJob): Job {
  const { nodes } = kept;
  const state = nodes.length === 0 ? 'waiting' : 'running';
  return { ...kept, state, on: new Set(nodes), reason: undefined, endAs: undefined };
}
