import type { Child, StartChild } from '../../platform/children.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { startProgram } from '../../platform/program.ts';
import {
  finalJobStates,
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
  type LrmJobState,
} from '../lrm.ts';
import { nodesFor, type Room, roomLeft } from '../greedy.ts';
import type { NamespaceNode } from './namespaces.ts';

/**
 * The embedded LRM: runs pilots as processes of this machine, for trial and demonstration.
 *
 *   waiting ─► running ─► completed | failed
 *      │          ├─► ending (SIGTERM; SIGKILL after the kill delay) ─► cancelled | timeout
 *      └─► cancelled
 *
 * First come, first served: a job starts when enough nodes have the memory and processors that it wants; none overtakes it. Jobs live as long
 * as the service's process: after a restart they are gone from the list, and their pilots release by themselves.
 */
export interface LocalSettings {
  readonly nodes: readonly LocalNode[];
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  /** The Node program. */
  readonly node: string;
  readonly killDelayMs: number;
}

/** A node: a name, and a network namespace when it has one of its own. */
export type LocalNode = Pick<NamespaceNode, 'name'> & { readonly netns?: string | undefined };

/** What the embedded LRM works with. */
export interface LocalParts {
  readonly clock: Clock;
  readonly startChild: StartChild;
  /** Called at the end of `close`, when no pilot is left: removes the nodes. */
  readonly afterClose?: () => Promise<void>;
}

interface Job {
  readonly id: string;
  readonly request: GangRequest;
  state: LrmJobState;
  reason: string | undefined;
  startedAt: number | undefined;
  endsAt: number | undefined;
  nodes: LocalNode[];
  running: Child[];
  /** Some of its pilots may not have been started yet. */
  launching: boolean;
  endAs: 'cancelled' | 'timeout' | undefined;
  timers: StopTimer[];
  /** Resolves when the job is in its final state. */
  readonly over: Promise<void>;
  readonly ended: () => void;
}

/** Finished jobs stay in the list, the oldest forgotten beyond this many. */
const mostFinished = 100;

/** The embedded LRM on the given nodes. */
export function local(settings: LocalSettings, parts: LocalParts): Lrm {
  return new LocalLrm(settings, parts);
}

class LocalLrm implements Lrm {
  readonly kind = 'local';
  readonly embedded = true;
  readonly #settings: LocalSettings;
  readonly #parts: LocalParts;
  readonly #listeners = new Set<() => void>();
  #jobs: Job[] = [];
  #lastId = 0;

  constructor(settings: LocalSettings, parts: LocalParts) {
    this.#settings = settings;
    this.#parts = parts;
  }

  capabilities(): Promise<LrmCapabilities> {
    const { nodes, memoryMiBPerNode, cpusPerNode, killDelayMs } = this.#settings;
    return Promise.resolve({
      nodes: nodes.length,
      idleNodes: nodes.filter(node => !this.#jobs.some(job => isOn(job, node))).length,
      memoryMiBPerNode,
      cpusPerNode,
      free: this.#free(),
      killDelayMs,
      nodeNameEnv: ['WSP_NODE'],
      jobEndEnv: [],
      walltimeStepMs: 1_000,
    });
  }

  async dryRun(request: GangRequest): Promise<void> {
    const { nodes, memoryMiBPerNode, cpusPerNode } = this.#settings;
    if (
      request.nodes <= nodes.length &&
      request.memoryMiBPerNode <= memoryMiBPerNode &&
      request.cpusPerNode <= cpusPerNode
    )
      return;
    const has = `${nodes.length} nodes with ${memoryMiBPerNode} MiB and ${cpusPerNode} processors each`;
    throw new LrmError('refused', `the local LRM has ${has}; that is less than the job wants`);
  }

  async submit(request: GangRequest): Promise<string> {
    await this.dryRun(request);
    this.#lastId += 1;
    let ended = (): void => undefined;
    const over = new Promise<void>(resolve => {
      ended = resolve;
    });
    const job: Job = {
      id: String(this.#lastId),
      request,
      state: 'waiting',
      reason: 'it waits for nodes to become free',
      startedAt: undefined,
      endsAt: undefined,
      nodes: [],
      running: [],
      launching: false,
      endAs: undefined,
      timers: [],
      over,
      ended,
    };
    this.#jobs.push(job);
    this.#schedule();
    return Promise.resolve(job.id);
  }

  list(): Promise<readonly LrmJob[]> {
    return Promise.resolve(
      this.#jobs.map(job => ({
        jobId: job.id,
        jobName: job.request.jobName,
        state: job.state,
        reason: job.reason,
        startedAt: job.startedAt,
        endsAt: job.endsAt,
        nodes: job.nodes.map(node => node.name),
      })),
    );
  }

  cancel(jobId: string): Promise<void> {
    const job = this.#jobs.find(each => each.id === jobId);
    if (job) this.#end(job, 'cancelled', 'the job was cancelled');
    return Promise.resolve();
  }

  extend(jobId: string, endsAt: number): Promise<number> {
    const job = this.#jobs.find(each => each.id === jobId);
    if (job?.state !== 'running' || job.endsAt === undefined)
      return Promise.reject(new LrmError('refused', 'only a job that runs can be given more time'));
    job.endsAt = Math.max(job.endsAt, endsAt);
    this.#armEnd(job);
    this.#tell();
    return Promise.resolve(job.endsAt);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    const jobs = this.#jobs.filter(job => !finalJobStates.has(job.state));
    for (const job of jobs) this.#end(job, 'cancelled', 'the service has ended');
    await Promise.all(jobs.map(job => job.over));
    await this.#parts.afterClose?.();
  }

  /** Starts waiting jobs in order until one does not fit. */
  #schedule(): void {
    for (const job of this.#jobs.filter(each => each.state === 'waiting')) {
      const names = nodesFor(job.request, this.#free());
      if (!names) break;
      job.nodes = this.#settings.nodes.filter(({ name }) => names.includes(name));
      void this.#start(job);
    }
    this.#tell();
  }

  #free(): readonly Room[] {
    const { nodes, memoryMiBPerNode: memoryMiB, cpusPerNode: cpus } = this.#settings;
    const gangs = this.#jobs
      .filter(({ state }) => state === 'running' || state === 'ending')
      .map(job => ({ gang: job.request, on: job.nodes.map(({ name }) => name) }));
    return roomLeft(
      nodes.map(({ name }) => ({ name, memoryMiB, cpus })),
      gangs,
    );
  }

  async #start(job: Job): Promise<void> {
    const { clock } = this.#parts;
    job.state = 'running';
    job.launching = true;
    job.reason = undefined;
    job.startedAt = clock.now();
    job.endsAt = job.startedAt + job.request.walltimeMs;
    this.#armEnd(job);
    const started = await Promise.allSettled(job.nodes.map(node => this.#launch(job, node)));
    const failed = started.find(each => each.status === 'rejected');
    if (failed) job.reason = `a pilot could not be started: ${String(failed.reason)}`;
    // A job that was told to end meanwhile tells those that have just started.
    if (failed || job.endAs) for (const child of job.running) child.kill('SIGTERM');
    job.launching = false;
    this.#finishIfOver(job);
  }

  #armEnd(job: Job): void {
    for (const stop of job.timers.splice(0)) stop();
    const { clock } = this.#parts;
    const leftMs = Math.max(0, (job.endsAt ?? 0) - clock.now());
    job.timers.push(clock.after(leftMs, () => this.#end(job, 'timeout', 'the job reached its time limit')));
  }

  async #launch(job: Job, node: LocalNode): Promise<void> {
    const child = await startProgram(this.#parts.startChild, {
      node: this.#settings.node,
      program: job.request.program,
      env: { WSP_NODE: node.name },
      enter: node.netns === undefined ? [] : ['nsenter', `--net=/run/netns/${node.netns}`],
    });
    job.running.push(child);
    void child.exited.then(({ code }) => {
      job.running = job.running.filter(each => each !== child);
      if (code !== 0)
        job.reason ??= `a pilot on ${node.name} ended with ${code === null ? 'a signal' : `exit code ${code}`}`;
      this.#finishIfOver(job);
    });
  }

  #finishIfOver(job: Job): void {
    if (job.launching || job.running.length > 0) return;
    this.#finish(job, job.endAs ?? (job.reason === undefined ? 'completed' : 'failed'));
  }

  #end(job: Job, as: 'cancelled' | 'timeout', reason: string): void {
    if (job.state === 'waiting') {
      job.reason = reason;
      this.#finish(job, 'cancelled');
      return;
    }
    if (job.state !== 'running') return;
    job.state = 'ending';
    job.endAs = as;
    job.reason = reason;
    for (const child of job.running) child.kill('SIGTERM');
    job.timers.push(
      this.#parts.clock.after(this.#settings.killDelayMs, () => {
        for (const child of job.running) child.kill('SIGKILL');
      }),
    );
    this.#tell();
  }

  #finish(job: Job, state: LrmJobState): void {
    if (finalJobStates.has(job.state)) return;
    for (const stop of job.timers) stop();
    job.state = state;
    job.ended();
    const finished = this.#jobs.filter(
      each => each.endsAt !== undefined && each.running.length === 0 && each.state !== 'running',
    );
    const forgotten = new Set(finished.slice(0, Math.max(0, finished.length - mostFinished)));
    this.#jobs = this.#jobs.filter(each => !forgotten.has(each));
    this.#schedule();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function isOn(job: Job, node: LocalNode): boolean {
  return job.nodes.includes(node) && (job.state === 'running' || job.state === 'ending');
}
