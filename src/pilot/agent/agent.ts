import type { Child, StartChild } from '../../platform/children.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { startProgram } from '../../platform/program.ts';
import type { AgentHello, AgentMessage, AgentOrder, JobEnd, ServiceToAgent } from '../../protocol/agent.ts';
import { protocols } from '../../protocol/versions.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * The jobs of one static node: what a scheduler's daemon does on its nodes, for pilots alone.
 *
 *   run ─► starting ─► running ─┬─ by itself ────────────────────────────► ended (told, or kept until somebody hears it)
 *                               └─ end, or its time is over: SIGTERM ─► SIGKILL ─┘
 *
 * It outlives its connection: pilots go on while the service is away. If we crash here: the pilots see nothing of it and go on until their time is over; the
 * agent that comes next does not know them, so the service counts them as gone, and their own end, or kill-all, gives the node back.
 */
export interface AgentParts {
  readonly name: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** The Node program. */
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly startChild: StartChild;
}

interface Job {
  readonly killDelayMs: number;
  /** Milliseconds since the epoch. */
  endsAt: number;
  child: Child | undefined;
  /** Told to go, and why. */
  endAs: 'cancelled' | 'timeout' | undefined;
  stopTimer: StopTimer;
}

/** One node's jobs. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #jobs = new Map<string, Job>();
  #untold: JobEnd[] = [];
  #send: ((message: AgentMessage) => void) | undefined;
  #idle: () => void = () => undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
  }

  /** A connection is there: says who we are, and from now on what ends. */
  connected(send: (message: AgentMessage) => void): void {
    const { name, memoryMiB, cpus } = this.#parts;
    const hello: AgentHello = {
      type: 'hello',
      protocol: protocols.agent,
      node: name,
      memoryMiB,
      cpus,
      running: [...this.#jobs.keys()],
      ended: this.#untold,
    };
    this.#send = send;
    this.#untold = [];
    send(hello);
  }

  disconnected(): void {
    this.#send = undefined;
  }

  /** Does as the service says. An order about what is not here is one that came too late. */
  obey(order: ServiceToAgent): void {
    if (order.type === 'welcome') return;
    if (order.type === 'run') return void this.#run(order);
    const job = this.#jobs.get(order.jobId);
    if (!job) return;
    if (order.type === 'end') this.#end(order.jobId, job, 'cancelled');
    else this.#moveEnd(order.jobId, job, order.endsAt);
  }

  /** Ends all jobs, each with its warning. Resolves when none is left. */
  stop(): Promise<void> {
    for (const [jobId, job] of this.#jobs) this.#end(jobId, job, 'cancelled');
    if (this.#jobs.size === 0) return Promise.resolve();
    return new Promise(resolve => {
      this.#idle = resolve;
    });
  }

  async #run({ jobId, program, endsAt, killDelayMs }: Extract<AgentOrder, { type: 'run' }>): Promise<void> {
    if (this.#jobs.has(jobId)) return;
    const { name, node, startChild, log } = this.#parts;
    const job: Job = { killDelayMs, endsAt, child: undefined, endAs: undefined, stopTimer: () => undefined };
    this.#jobs.set(jobId, job);
    try {
      const env = { WSP_NODE: name, WSP_JOB_END: String(Math.floor(endsAt / 1_000)) };
      job.child = await startProgram(startChild, { node, program, env });
      log.info('pilot started', { jobId, pid: job.child.pid });
    } catch (cause) {
      log.error('a pilot could not be started', { jobId, ...errorFields(cause) });
      const message = `a pilot could not be started on ${name}: ${messageOf(cause)}`;
      return this.#over(jobId, { jobId, code: null, why: 'failed', message });
    }
    void job.child.exited.then(({ code }) => {
      log.info('pilot ended', { jobId, code });
      this.#over(jobId, { jobId, code, why: job.endAs ?? 'exited' });
    });
    // Told to go while it was being started.
    if (job.endAs) this.#warn(job);
    else this.#armEnd(jobId, job);
  }

  /** One that is still being started begins with its new end. */
  #moveEnd(jobId: string, job: Job, endsAt: number): void {
    job.endsAt = endsAt;
    if (job.child && job.endAs === undefined) this.#armEnd(jobId, job);
  }

  #armEnd(jobId: string, job: Job): void {
    job.stopTimer();
    const leftMs = Math.max(0, job.endsAt - this.#parts.clock.now());
    job.stopTimer = this.#parts.clock.after(leftMs, () => this.#end(jobId, job, 'timeout'));
  }

  #end(jobId: string, job: Job, as: 'cancelled' | 'timeout'): void {
    if (job.endAs) return;
    this.#parts.log.info('ending a pilot', { jobId, why: as });
    job.endAs = as;
    if (job.child) this.#warn(job);
  }

  #warn(job: Job): void {
    job.stopTimer();
    job.child?.kill('SIGTERM');
    job.stopTimer = this.#parts.clock.after(job.killDelayMs, () => job.child?.kill('SIGKILL'));
  }

  #over(jobId: string, end: JobEnd): void {
    this.#jobs.get(jobId)?.stopTimer();
    this.#jobs.delete(jobId);
    if (this.#send) this.#send({ type: 'ended', ...end });
    else this.#untold.push(end);
    if (this.#jobs.size === 0) this.#idle();
  }
}
