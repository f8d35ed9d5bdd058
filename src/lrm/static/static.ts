import type { Clock, StopTimer } from '../../platform/clock.ts';
import type { AgentHello, AgentMessage, JobEnd, ServiceToAgent } from '../../protocol/agent.ts';
import { nodesFor, type Room, roomLeft } from '../greedy.ts';
import {
  finalJobStates,
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
  type LrmJobState,
} from '../lrm.ts';
import { Spool } from './spool.ts';
import { formatDuration } from '../../protocol/units.ts';
import { protocolGap, protocols } from '../../protocol/versions.ts';

/**
 * The LRM of static nodes (the paper's "workspace default"): nodes on which `wsp agent` runs, and nobody else's jobs.
 *
 *   job   waiting ─► running ─► completed | failed | timeout          node   joined ⇄ away ─► lost (after `lostAfterMs`)
 *            │          └─► ending ─► cancelled
 *            └─► cancelled
 *
 * Invariants: a job is in the spool before `submit` answers, and until it has ended on every node; a node has no more than it can carry.
 * The agents watch over the time limits. If we crash here: agents and their pilots go on; the next life has the spool, and the agents say what runs.
 */
export interface StaticSettings {
  /** Where jobs and nodes are kept. */
  readonly directory: string;
  readonly killDelayMs: number;
  /** A node that is away for this long has lost its jobs. */
  readonly lostAfterMs: number;
}

/** The service's end of an agent's connection. */
export interface AgentConnection {
  send(message: ServiceToAgent): void;
  close(why: string): void;
}

/** Where what an agent says goes. */
export interface AgentSession {
  received(message: AgentMessage): void;
  closed(): void;
}

/** An LRM that agents join. */
export interface StaticLrm extends Lrm {
  /** Takes over an agent's connection; an older one of the same node is closed. */
  attach(node: string, connection: AgentConnection): AgentSession;
}

interface Job {
  readonly id: string;
  readonly request: GangRequest;
  state: LrmJobState;
  reason: string | undefined;
  nodes: readonly string[];
  startedAt: number | null;
  endsAt: number | null;
  /** The nodes on which it has not ended. */
  readonly on: Set<string>;
  endAs: 'cancelled' | 'timeout' | 'failed' | undefined;
}

interface Node extends Room {
  connection: AgentConnection | undefined;
  stopTimer: StopTimer;
}

/** Finished jobs stay in the list, the oldest forgotten beyond this many. */
const mostFinished = 100;

/** Opens the spool and waits for agents. Throws when the directory cannot be used. */
export function staticNodes(settings: StaticSettings, clock: Clock): StaticLrm {
  return new StaticNodes(settings, clock);
}

class StaticNodes implements StaticLrm {
  readonly kind = 'static';
  readonly embedded = true;
  readonly #settings: StaticSettings;
  readonly #clock: Clock;
  readonly #spool: Spool;
  readonly #listeners = new Set<() => void>();
  readonly #nodes = new Map<string, Node>();
  #jobs: Job[] = [];
  #lastId: number;

  constructor(settings: StaticSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.#spool = new Spool(settings.directory);
    for (const { id, request, nodes, startedAt, endsAt } of this.#spool.jobs()) {
      const state = nodes.length === 0 ? 'waiting' : 'running';
      this.#jobs.push({
        id,
        request,
        nodes,
        startedAt,
        endsAt,
        state,
        reason: undefined,
        on: new Set(nodes),
        endAs: undefined,
      });
    }
    // Ids are never used again: an order that is pending for an ended job must not reach a new one.
    this.#lastId = Math.max(clock.now(), ...this.#jobs.map(({ id }) => Number(id)));
    for (const room of this.#spool.nodes())
      this.#away({ ...room, connection: undefined, stopTimer: () => undefined });
  }

  capabilities(): Promise<LrmCapabilities> {
    const nodes = [...this.#nodes.values()];
    const busy = new Set(this.#held().flatMap(({ on }) => [...on]));
    return Promise.resolve({
      nodes: nodes.length,
      idleNodes: nodes.filter(({ name, connection }) => connection && !busy.has(name)).length,
      memoryMiBPerNode: Math.max(0, ...nodes.map(({ memoryMiB }) => memoryMiB)),
      cpusPerNode: Math.max(0, ...nodes.map(({ cpus }) => cpus)),
      free: this.#free(),
      away: nodes.filter(({ connection }) => !connection).map(({ name }) => name),
      killDelayMs: this.#settings.killDelayMs,
      nodeNameEnv: ['WSP_NODE'],
      jobEndEnv: ['WSP_JOB_END'],
      walltimeStepMs: 1_000,
    });
  }

  async dryRun(request: GangRequest): Promise<void> {
    if (nodesFor(request, [...this.#nodes.values()])) return;
    const words = `${request.nodes} nodes with ${request.memoryMiBPerNode} MiB and ${request.cpusPerNode} processors each are wanted`;
    throw new LrmError(
      'refused',
      `${words}; of the ${this.#nodes.size} static nodes that have joined, fewer are that large`,
    );
  }

  async submit(request: GangRequest): Promise<string> {
    await this.dryRun(request);
    this.#lastId += 1;
    const id = String(this.#lastId);
    const job: Job = {
      id,
      request,
      state: 'waiting',
      reason: undefined,
      nodes: [],
      startedAt: null,
      endsAt: null,
      on: new Set(),
      endAs: undefined,
    };
    try {
      this.#store(job);
    } catch (cause) {
      throw new LrmError('unavailable', 'the job could not be stored', cause);
    }
    this.#jobs.push(job);
    this.#schedule();
    return id;
  }

  list(): Promise<readonly LrmJob[]> {
    return Promise.resolve(
      this.#jobs.map(({ id, request, state, reason, startedAt, endsAt, nodes }) => ({
        jobId: id,
        jobName: request.jobName,
        state,
        reason: state === 'waiting' ? 'it waits for static nodes to become free' : reason,
        startedAt: startedAt ?? undefined,
        endsAt: endsAt ?? undefined,
        nodes,
      })),
    );
  }

  cancel(jobId: string): Promise<void> {
    const job = this.#jobs.find(({ id }) => id === jobId);
    if (job) this.#end(job, 'cancelled', 'the job was cancelled');
    return Promise.resolve();
  }

  extend(jobId: string, endsAt: number): Promise<number> {
    const job = this.#jobs.find(({ id }) => id === jobId);
    if (job?.state !== 'running' || job.endsAt === null)
      return Promise.reject(new LrmError('refused', 'only a job that runs can be given more time'));
    job.endsAt = Math.max(job.endsAt, endsAt);
    this.#store(job);
    for (const node of job.on)
      this.#nodes.get(node)?.connection?.send({ type: 'until', jobId, endsAt: job.endsAt });
    this.#tell();
    return Promise.resolve(job.endsAt);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#listeners.clear();
    for (const { stopTimer } of this.#nodes.values()) stopTimer();
    return Promise.resolve();
  }

  attach(node: string, connection: AgentConnection): AgentSession {
    let joined = false;
    return {
      received: message => {
        if (message.type === 'ended') this.#endedOn(node, message);
        else {
          const gap = protocolGap('agent', `the agent on ${node}`, message.protocol);
          if (gap !== undefined) return connection.close(gap);
          joined = true;
          this.#join(node, message, connection);
        }
      },
      closed: () => {
        const known = this.#nodes.get(node);
        if (!joined || known?.connection !== connection) return;
        this.#away(known);
        this.#tell();
      },
    };
  }

  #join(name: string, { memoryMiB, cpus, running, ended }: AgentHello, connection: AgentConnection): void {
    const before = this.#nodes.get(name);
    before?.stopTimer();
    if (before?.connection !== connection)
      before?.connection?.close('another agent has joined with the name of this node');
    this.#nodes.set(name, { name, memoryMiB, cpus, connection, stopTimer: () => undefined });
    this.#storeNodes();
    connection.send({ type: 'welcome', protocol: protocols.agent });
    const here = this.#jobs.filter(({ on }) => on.has(name));
    for (const jobId of running) {
      const job = here.find(({ id }) => id === jobId);
      if (!job || job.endAs) connection.send({ type: 'end', jobId });
      else if (job.endsAt !== null) connection.send({ type: 'until', jobId, endsAt: job.endsAt });
    }
    for (const { id } of here)
      if (!running.includes(id))
        this.#endedOn(name, ended.find(({ jobId }) => jobId === id) ?? goneUnheard(id, name));
    this.#schedule();
  }

  /** Kept for a while: an agent that is started again, or a switch that is, loses nothing. */
  #away(node: Node): void {
    node.stopTimer();
    const stopTimer = this.#clock.after(this.#settings.lostAfterMs, () => this.#lost(node.name));
    this.#nodes.set(node.name, { ...node, connection: undefined, stopTimer });
  }

  #lost(name: string): void {
    this.#nodes.delete(name);
    this.#storeNodes();
    const reason = `nothing was heard of node ${name} for ${formatDuration(this.#settings.lostAfterMs)}`;
    for (const job of this.#jobs.filter(({ on }) => on.has(name))) {
      job.on.delete(name);
      this.#end(job, 'failed', reason);
      this.#finishIfOver(job);
    }
    this.#schedule();
  }

  #endedOn(node: string, { jobId, code, why, message }: JobEnd): void {
    const job = this.#jobs.find(({ id }) => id === jobId);
    if (!job?.on.delete(node)) return;
    if (why === 'timeout') {
      job.endAs ??= 'timeout';
      job.reason ??= 'the job reached its time limit';
    } else if (code !== 0)
      job.reason ??=
        message ?? `a pilot on ${node} ended with ${code === null ? 'a signal' : `exit code ${code}`}`;
    this.#finishIfOver(job);
    this.#schedule();
  }

  #finishIfOver(job: Job): void {
    if (job.on.size === 0)
      this.#finish(job, job.endAs ?? (job.reason === undefined ? 'completed' : 'failed'));
  }

  #end(job: Job, as: 'cancelled' | 'failed', reason: string): void {
    if (job.state === 'waiting') {
      job.reason = reason;
      this.#finish(job, as);
      return this.#tell();
    }
    if (job.state !== 'running') return;
    job.state = 'ending';
    job.endAs = as;
    job.reason = reason;
    for (const node of job.on) this.#nodes.get(node)?.connection?.send({ type: 'end', jobId: job.id });
    this.#tell();
  }

  #finish(job: Job, state: LrmJobState): void {
    if (finalJobStates.has(job.state)) return;
    job.state = state;
    this.#spool.remove(job.id);
    const finished = this.#jobs.filter(each => finalJobStates.has(each.state));
    const forgotten = new Set(finished.slice(0, Math.max(0, finished.length - mostFinished)));
    this.#jobs = this.#jobs.filter(each => !forgotten.has(each));
  }

  /** Starts waiting jobs in order until one does not fit. */
  #schedule(): void {
    for (const job of this.#jobs.filter(({ state }) => state === 'waiting')) {
      const nodes = nodesFor(job.request, this.#free());
      if (!nodes || !this.#start(job, nodes)) break;
    }
    this.#tell();
  }

  /** False when it cannot be stored: then it waits on. */
  #start(job: Job, nodes: readonly string[]): boolean {
    const { killDelayMs } = this.#settings;
    const startedAt = this.#clock.now();
    const endsAt = startedAt + job.request.walltimeMs;
    try {
      // Before the agents hear of it: what they run is always known to the next life.
      this.#store({ ...job, nodes, startedAt, endsAt });
    } catch {
      return false;
    }
    Object.assign(job, { state: 'running', nodes, startedAt, endsAt });
    const order = { type: 'run', jobId: job.id, program: job.request.program, endsAt, killDelayMs } as const;
    for (const node of nodes) job.on.add(node);
    for (const node of nodes) this.#nodes.get(node)?.connection?.send(order);
    return true;
  }

  #held(): readonly Job[] {
    return this.#jobs.filter(({ on }) => on.size > 0);
  }

  /** What is left of the nodes that are there. */
  #free(): readonly Room[] {
    return roomLeft(
      [...this.#nodes.values()].filter(({ connection }) => connection !== undefined),
      this.#held().map(({ request, on }) => ({ gang: request, on: [...on] })),
    );
  }

  #store({ id, request, nodes, startedAt, endsAt }: Job): void {
    this.#spool.put({ id, request, nodes, startedAt, endsAt });
  }

  #storeNodes(): void {
    this.#spool.putNodes(
      [...this.#nodes.values()].map(({ name, memoryMiB, cpus }) => ({ name, memoryMiB, cpus })),
    );
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The agent has been away, and does not know of it any more. */
function goneUnheard(jobId: string, node: string): JobEnd {
  const message = `a pilot on ${node} ended while its agent was not connected`;
  return { jobId, code: null, why: 'exited', message };
}
