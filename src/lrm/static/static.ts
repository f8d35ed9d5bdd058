import type { Clock, StopTimer } from '../../platform/clock.ts';
import type { AgentHello, AgentMessage, JobEnd, ServiceToAgent } from '../../protocol/agent.ts';
import { formatDuration } from '../../protocol/units.ts';
import { protocolGap, protocols } from '../../protocol/versions.ts';
import { FirstComeLrm, type Job, type KeptJob, type Room } from '../first-come.ts';
import type { LrmCapabilities } from '../lrm.ts';
import { Spool } from './spool.ts';

/**
 * The LRM of static nodes (the paper's "workspace default"): nodes on which `wsp agent` runs, and nobody else's jobs.
 *
 *   node   joined ⇄ away ─► lost (after `lostAfterMs`): its jobs have failed
 *
 * The agents watch over the time limits. Jobs and nodes are in the spool. If we crash here: agents
 * and their pilots go on; the next life has the spool, and the agents say what runs.
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

interface Node extends Room {
  connection: AgentConnection | undefined;
  stopTimer: StopTimer;
}

/** See above. Making it opens the spool, which throws when the directory cannot be used. */
export class StaticLrm extends FirstComeLrm {
  readonly kind = 'static';
  protected readonly site: Pick<LrmCapabilities, 'killDelayMs' | 'jobEndEnv'>;
  readonly #settings: StaticSettings;
  readonly #spool: Spool;
  readonly #nodes = new Map<string, Node>();

  constructor(settings: StaticSettings, clock: Clock) {
    const spool = new Spool(settings.directory);
    // Ids are never used again: an order that is pending for an ended job must not reach a new one.
    super(clock, spool.jobs(), clock.now());
    this.#settings = settings;
    this.#spool = spool;
    this.site = { killDelayMs: settings.killDelayMs, jobEndEnv: ['WSP_JOB_END'] };
    for (const room of spool.nodes())
      this.#away({ ...room, connection: undefined, stopTimer: () => undefined });
  }

  protected rooms(): readonly (Room & { readonly away: boolean })[] {
    return [...this.#nodes.values()].map(({ name, memoryMiB, cpus, connection }) => ({
      name,
      memoryMiB,
      cpus,
      away: connection === undefined,
    }));
  }

  protected run({ id: jobId, request: { program }, nodes, endsAt }: Job): void {
    const { killDelayMs } = this.#settings;
    this.#send(nodes, { type: 'run', jobId, program, endsAt: endsAt ?? 0, killDelayMs });
  }

  protected stop({ id: jobId, on }: Job): void {
    this.#send(on, { type: 'end', jobId });
  }

  protected moveEnd({ id: jobId, on, endsAt }: Job): void {
    this.#send(on, { type: 'until', jobId, endsAt: endsAt ?? 0 });
  }

  protected keep({ id, request, nodes, startedAt, endsAt }: KeptJob): void {
    this.#spool.put({ id, request, nodes, startedAt, endsAt });
  }

  protected forget(jobId: string): void {
    this.#spool.remove(jobId);
  }

  close(): Promise<void> {
    this.silence();
    for (const { stopTimer } of this.#nodes.values()) stopTimer();
    return Promise.resolve();
  }

  /** Takes over an agent's connection; an older one of the same node is closed. */
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
        this.tell();
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
    const here = this.#jobsOn(name);
    for (const jobId of running) {
      const job = here.find(({ id }) => id === jobId);
      if (!job || job.endAs) connection.send({ type: 'end', jobId });
      else if (job.endsAt !== null) connection.send({ type: 'until', jobId, endsAt: job.endsAt });
    }
    for (const { id } of here)
      if (!running.includes(id))
        this.#endedOn(name, ended.find(({ jobId }) => jobId === id) ?? goneUnheard(id, name));
    this.schedule();
  }

  /** Kept for a while: an agent that is started again, or a switch that is, loses nothing. */
  #away(node: Node): void {
    node.stopTimer();
    const stopTimer = this.clock.after(this.#settings.lostAfterMs, () => this.#lost(node.name));
    this.#nodes.set(node.name, { ...node, connection: undefined, stopTimer });
  }

  #lost(name: string): void {
    this.#nodes.delete(name);
    this.#storeNodes();
    const reason = `nothing was heard of node ${name} for ${formatDuration(this.#settings.lostAfterMs)}`;
    for (const job of this.#jobsOn(name)) {
      this.end(job, 'failed', reason);
      this.endedOn(job, name);
    }
    this.schedule();
  }

  #endedOn(node: string, { jobId, code, why, message }: JobEnd): void {
    const job = this.job(jobId);
    if (!job) return;
    const how = code === null ? 'a signal' : `exit code ${code}`;
    if (why === 'timeout') this.endedOn(job, node, 'the job reached its time limit', why);
    else
      this.endedOn(job, node, code === 0 ? undefined : (message ?? `a pilot on ${node} ended with ${how}`));
  }

  #jobsOn(name: string): readonly Job[] {
    return this.live().filter(({ on }) => on.has(name));
  }

  #send(nodes: Iterable<string>, order: ServiceToAgent): void {
    for (const node of nodes) this.#nodes.get(node)?.connection?.send(order);
  }

  #storeNodes(): void {
    this.#spool.putNodes(
      [...this.#nodes.values()].map(({ name, memoryMiB, cpus }) => ({ name, memoryMiB, cpus })),
    );
  }
}

/** The agent has been away, and does not know of it any more. */
function goneUnheard(jobId: string, node: string): JobEnd {
  const message = `a pilot on ${node} ended while its agent was not connected`;
  return { jobId, code: null, why: 'exited', message };
}
