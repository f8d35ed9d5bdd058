import type { Clock } from '../../src/platform/clock.ts';
import { pause } from '../../src/platform/clock.ts';
import {
  finalJobStates,
  type GangRequest,
  type Lrm,
  type LrmCapabilities,
  LrmError,
  type LrmJob,
  type LrmJobState,
} from '../../src/lrm/lrm.ts';
import { slotIdOfJobName } from '../../src/protocol/ids.ts';
import type { GroundTruth } from '../invariants.ts';
import type { Dice } from './dice.ts';
import type { SimNode } from './node.ts';

/** A pilot as its LRM sees it: a process. */
export interface PilotProcess {
  readonly exited: Promise<number>;
  terminate(): void;
  kill(): void;
}

export type Launch = (node: SimNode, program: string, jobEndsAt: number) => PilotProcess;

interface Job {
  readonly jobId: string;
  readonly request: GangRequest;
  readonly slotId: string;
  readonly submittedAt: number;
  state: LrmJobState;
  reason?: string;
  held: boolean;
  startedAt?: number;
  endsAt?: number;
  overAt?: number;
  nodes: readonly SimNode[];
  unlaunched: number;
  /** Those that run. */
  pilots: PilotProcess[];
  /** How it will be called when its pilots are gone. */
  verdict?: LrmJobState;
}

const killDelayMs = 10_000;
/** A job that is over stays in the list this long (Slurm's MinJobAge). */
const memoryMs = 60_000;

/**
 * A batch scheduler on the virtual clock: first come, first served, nodes shared by memory and processors, walltimes enforced with a warning
 * and a kill. It takes its time to answer, and to propagate signals.
 */
export class SimLrm implements Lrm {
  readonly kind = 'sim';
  readonly #nodes: readonly SimNode[];
  readonly #clock: Clock;
  readonly #dice: Dice;
  readonly #launch: Launch;
  readonly #jobs = new Map<string, Job>();
  #lastId = 0;
  #downUntil = 0;
  readonly #nodeOf = new WeakMap<PilotProcess, SimNode>();
  #passPlanned = false;

  constructor(nodes: readonly SimNode[], clock: Clock, dice: Dice, launch: Launch) {
    this.#nodes = nodes;
    this.#clock = clock;
    this.#dice = dice;
    this.#launch = launch;
  }

  async capabilities(): Promise<LrmCapabilities> {
    await this.#takesTime();
    return {
      nodes: this.#nodes.length,
      memoryMiBPerNode: 8_192,
      cpusPerNode: 4,
      maxWalltimeMs: 4 * 3_600_000,
      killDelayMs,
      nodeNameEnv: [],
      jobEndEnv: [],
      walltimeStepMs: 60_000,
    };
  }

  async submit(request: GangRequest): Promise<string> {
    await this.#takesTime();
    if (request.nodes > this.#nodes.length) throw new LrmError('refused', 'more nodes than there are');
    if (this.#dice.chance(0.02))
      throw new LrmError('refused', 'Invalid account or account/partition combination');
    const slotId = slotIdOfJobName(request.jobName);
    if (slotId === undefined) throw new LrmError('refused', `bad job name ${request.jobName}`);
    const jobId = String(++this.#lastId);
    const submittedAt = this.#clock.now();
    const base = { jobId, request, slotId, submittedAt, nodes: [], unlaunched: 0, pilots: [] };
    this.#jobs.set(jobId, { ...base, state: 'waiting', reason: 'Priority', held: false });
    this.#planPass();
    await this.#takesTime();
    return jobId;
  }

  async list(): Promise<readonly LrmJob[]> {
    await this.#takesTime();
    const now = this.#clock.now();
    const jobs = [...this.#jobs.values()].filter(job => (job.overAt ?? now) + memoryMs > now).map(describe);
    await this.#takesTime();
    return jobs;
  }

  async cancel(jobId: string): Promise<void> {
    await this.#takesTime();
    this.end(jobId, 'cancelled', 'cancelled by its owner');
  }

  async extend(jobId: string, endsAt: number): Promise<number> {
    await this.#takesTime();
    const job = this.#jobs.get(jobId);
    if (job?.state !== 'running' || job.endsAt === undefined || this.#dice.chance(0.3))
      throw new LrmError('refused', 'only operators may do that');
    job.endsAt = Math.max(job.endsAt, endsAt);
    this.#armEnd(job);
    await this.#takesTime();
    return job.endsAt;
  }

  onChange(): () => void {
    return () => undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  truth(): GroundTruth['jobs'] {
    return [...this.#jobs.values()].map(job => ({
      jobId: job.jobId,
      slotId: job.slotId,
      live: !isOver(job),
      since: job.overAt ?? job.submittedAt,
    }));
  }

  /** Ids of jobs in that state, for what administrators do. */
  idsOf(state: LrmJobState): readonly string[] {
    return [...this.#jobs.values()].filter(job => job.state === state).map(({ jobId }) => jobId);
  }

  /** An administrator holds a waiting job, and lets it go. */
  hold(jobId: string, held: boolean): void {
    const job = this.#jobs.get(jobId);
    if (job?.state !== 'waiting') return;
    job.held = held;
    job.reason = held ? 'JobHeldAdmin' : 'Priority';
    if (!held) this.#planPass();
  }

  /** An administrator needs the nodes: every job that runs ends in `leftMs` at the latest. */
  shorten(leftMs: number): void {
    const endsAt = this.#clock.now() + leftMs;
    for (const job of this.#jobs.values()) {
      if (job.state !== 'running' || (job.endsAt ?? 0) <= endsAt) continue;
      job.endsAt = endsAt;
      this.#armEnd(job);
    }
  }

  /** Its daemon answers nothing for a while; jobs go on. */
  goDown(forMs: number): void {
    this.#downUntil = Math.max(this.#downUntil, this.#clock.now() + forMs);
  }

  /** When it last came back, or will: milliseconds since the epoch. */
  get downUntil(): number {
    return this.#downUntil;
  }

  /** A pilot is killed (-9). */
  killPilot(): void {
    const pilots = [...this.#jobs.values()].flatMap(job => job.pilots);
    pilots[this.#dice.int(0, Math.max(0, pilots.length - 1))]?.kill();
  }

  /** A node loses its power: what ran on it is gone, and the jobs that it was part of end. */
  loseNode(): void {
    const node = this.#nodes[this.#dice.int(0, this.#nodes.length - 1)];
    for (const job of this.#jobs.values()) {
      if (isOver(job) || node === undefined || !job.nodes.includes(node)) continue;
      for (const pilot of job.pilots) if (this.#nodeOf.get(pilot) === node) pilot.kill();
      this.end(job.jobId, 'failed', 'NodeFail');
    }
  }

  /** Ends a job, as `cancel` does, but for a reason of the LRM's own: the first pilot is told at once, the others when the word gets there. */
  end(jobId: string, verdict: LrmJobState, reason: string): void {
    const job = this.#jobs.get(jobId);
    if (!job || isOver(job) || job.state === 'ending') return;
    job.reason = reason;
    if (job.state === 'waiting') return this.#over(job, verdict);
    job.verdict = verdict;
    job.state = 'ending';
    for (const pilot of job.pilots) this.#clock.after(this.#dice.int(0, 1_500), () => pilot.terminate());
    this.#clock.after(killDelayMs, () => {
      for (const pilot of job.pilots) pilot.kill();
    });
    this.#lookWhetherOver(job);
  }

  #planPass(): void {
    if (this.#passPlanned) return;
    this.#passPlanned = true;
    this.#clock.after(this.#dice.int(10, 3_000), () => {
      this.#passPlanned = false;
      const used = this.#used();
      for (const job of this.#jobs.values()) {
        if (job.state !== 'waiting' || job.held) continue;
        const nodes: SimNode[] = [];
        for (const node of this.#nodes) {
          if (nodes.length === job.request.nodes) break;
          if (fits(job, node, used)) nodes.push(node);
        }
        if (nodes.length < job.request.nodes) {
          job.reason = 'Resources';
          return;
        }
        for (const node of nodes) take(job, node, used);
        this.#start(job, nodes);
      }
    });
  }

  /** What live jobs hold of each node. */
  #used(): Used {
    const used: Used = new Map();
    for (const job of this.#jobs.values())
      if (!isOver(job)) for (const node of job.nodes) take(job, node, used);
    return used;
  }

  #start(job: Job, nodes: readonly SimNode[]): void {
    const endsAt = this.#clock.now() + job.request.walltimeMs;
    job.state = 'running';
    delete job.reason;
    job.nodes = nodes;
    job.startedAt = this.#clock.now();
    job.endsAt = endsAt;
    job.unlaunched = nodes.length;
    for (const node of nodes)
      this.#clock.after(this.#dice.int(20, 1_500), () => this.#launchOn(job, node, endsAt));
    this.#armEnd(job);
  }

  #armEnd(job: Job): void {
    const endsAt = job.endsAt ?? 0;
    this.#clock.after(Math.max(0, endsAt - this.#clock.now()), () => {
      if (job.endsAt === endsAt) this.end(job.jobId, 'timeout', 'TimeLimit');
    });
  }

  #launchOn(job: Job, node: SimNode, endsAt: number): void {
    // A job that has been told to go launches nothing more.
    if (job.state !== 'running') return;
    const pilot = this.#launch(node, job.request.program, endsAt);
    job.unlaunched -= 1;
    job.pilots.push(pilot);
    this.#nodeOf.set(pilot, node);
    void pilot.exited.then(code => {
      job.pilots = job.pilots.filter(other => other !== pilot);
      if (code !== 0) job.verdict ??= 'failed';
      this.#lookWhetherOver(job);
    });
  }

  #lookWhetherOver(job: Job): void {
    if (job.pilots.length > 0 || (job.state === 'running' && job.unlaunched > 0)) return;
    this.#over(job, job.verdict ?? 'completed');
  }

  #over(job: Job, state: LrmJobState): void {
    if (isOver(job)) return;
    job.state = state;
    job.overAt = this.#clock.now();
    this.#planPass();
  }

  async #takesTime(): Promise<void> {
    await pause(this.#clock, this.#dice.int(1, 200));
    if (this.#clock.now() < this.#downUntil) throw new LrmError('unavailable', 'its daemon does not answer');
  }
}

type Used = Map<SimNode, { memoryMiB: number; cpus: number }>;

function take({ request }: Job, node: SimNode, used: Used): void {
  const { memoryMiB, cpus } = used.get(node) ?? { memoryMiB: 0, cpus: 0 };
  used.set(node, { memoryMiB: memoryMiB + request.memoryMiBPerNode, cpus: cpus + request.cpusPerNode });
}

function fits({ request }: Job, node: SimNode, used: Used): boolean {
  const { memoryMiB, cpus } = used.get(node) ?? { memoryMiB: 0, cpus: 0 };
  return memoryMiB + request.memoryMiBPerNode <= node.memoryMiB && cpus + request.cpusPerNode <= node.cpus;
}

function isOver(job: Job): boolean {
  return finalJobStates.has(job.state);
}

function describe(job: Job): LrmJob {
  const { jobId, request, state, reason, startedAt, endsAt, nodes } = job;
  const names = nodes.map(({ name }) => name);
  return { jobId, jobName: request.jobName, state, reason, startedAt, endsAt, nodes: names };
}
