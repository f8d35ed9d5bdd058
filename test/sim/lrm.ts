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
import { listDuring, type Outage, outages } from './dead-scheduler.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import type { SimNode } from './node.ts';

/** A pilot as its LRM sees it: a process. */
export interface PilotProcess {
  readonly exited: Promise<number>;
  terminate(): void;
  kill(): void;
  /** Its node is without power: nobody hears it die. */
  powerOff(): void;
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
  /** Since when its end is that. */
  endSetAt?: number;
  overAt?: number;
  nodes: readonly SimNode[];
  unlaunched: number;
  /** Those that run. */
  pilots: PilotProcess[];
  /** How it will be called when its pilots are gone. */
  verdict?: LrmJobState;
  /** What the LRM says of it is not so. */
  lie?: Lie;
  /** It has no pilots any more, and the LRM has not noticed. */
  ghost?: boolean;
}

/** `hidden`: it is not in the list; `failed`: it is called over. Both although it runs; until the LRM knows it again. */
interface Lie {
  readonly kind: 'hidden' | 'failed';
  readonly since: number;
  readonly until: number;
}

/** How an LRM does not do what it should, in one life. */
export interface LrmTroubles {
  /** Warning signals that come late, or never. */
  readonly badSignals: number;
  /** Kills that come late. */
  readonly lateKills: number;
  /** Jobs that it calls running for a while although they are over. */
  readonly ghosts: number;
}

/** Of three lives in ten. */
export function lrmTroublesOf(dice: Dice): LrmTroubles {
  if (dice.chance(0.7)) return { badSignals: 0, lateKills: 0, ghosts: 0 };
  return { badSignals: 0.5, lateKills: 0.3, ghosts: 0.3 };
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
  #blindUntil = 0;
  /** Since when its list has had no jobs. */
  #emptySince: number | undefined;
  readonly #nodeOf = new WeakMap<PilotProcess, SimNode>();
  readonly #faults: Faults;
  readonly #troubles: LrmTroubles;
  /** Until when an administrator has nodes out of service. */
  readonly #drainedUntil = new Map<SimNode, number>();
  #passPlanned = false;

  constructor(nodes: readonly SimNode[], clock: Clock, dice: Dice, faults: Faults, launch: Launch) {
    this.#nodes = nodes;
    this.#clock = clock;
    this.#dice = dice;
    this.#faults = faults;
    this.#launch = launch;
    this.#troubles = lrmTroublesOf(dice);
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

  async dryRun(request: GangRequest): Promise<void> {
    await this.#takesTime();
    if (request.nodes > this.#nodes.length) throw new LrmError('refused', 'more nodes than there are');
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
    if (this.#clock.now() < this.#downUntil) {
      await pause(this.#clock, this.#dice.int(1, 200));
      return listDuring(this.#dice.pick(outages as readonly [Outage, ...Outage[]]), this.#clock);
    }
    // Its time passes before it looks, or on the way back, when what it has seen may not be so any more.
    const late = this.#dice.chance(0.5);
    if (!late) await this.#takesTime();
    const now = this.#clock.now();
    const jobs = [...this.#jobs.values()]
      .filter(job => (job.overAt ?? now) + memoryMs > now && this.#lieOf(job)?.kind !== 'hidden')
      .map(job => describe(job, this.#lieOf(job), node => this.#isDrained(node)));
    if (late) await this.#takesTime();
    this.#noteEmpty(jobs.length === 0);
    return jobs;
  }

  /**
   * A list without jobs is not believed for a minute, as that of a scheduler that has just been
   * started anew.
   */
  #noteEmpty(isEmpty: boolean): void {
    if (isEmpty) this.#emptySince ??= this.#clock.now();
    else if (this.#emptySince !== undefined) {
      this.#emptySince = undefined;
      this.#blindUntil = Math.max(this.#blindUntil, this.#clock.now());
    }
  }

  /**
   * Until when the service, which has heard it since `servedSince`, doubts its empty list; 0: it
   * has jobs.
   */
  doubtedUntil(servedSince: number): number {
    if (this.#emptySince === undefined) return 0;
    // What it said before it was down was not doubted: its jobs were there then, or there were
    // none.
    const since = Math.max(this.#emptySince, this.#downUntil, servedSince);
    return Math.min(this.#clock.now(), since + 62_000);
  }

  async cancel(jobId: string): Promise<void> {
    await this.#takesTime();
    const job = this.#jobs.get(jobId);
    // What it takes for gone it does not end.
    if (job && !this.#lieOf(job)) this.end(jobId, 'cancelled', 'cancelled by its owner');
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

  /** `aheadMs`: of the clock that times are told in; `tellsEnds`: that clock is right. */
  truth(aheadMs = 0, tellsEnds = true): GroundTruth['jobs'] {
    return [...this.#jobs.values()].map(job => ({
      jobId: job.jobId,
      slotId: job.slotId,
      live: !isOver(job),
      // What it said in between was not so: nobody could do anything about the job.
      since:
        aheadMs + (job.overAt ?? Math.max(job.submittedAt, Math.min(job.lie?.until ?? 0, this.#clock.now()))),
      ...(tellsEnds && job.endsAt !== undefined
        ? { ends: { at: aheadMs + job.endsAt, since: aheadMs + (job.endSetAt ?? 0) } }
        : {}),
      ...(job.lie && !isOver(job) ? { disownedAt: aheadMs + job.lie.since } : {}),
    }));
  }

  /** It takes a running job for gone, for a while, or for good. */
  disown(kind: Lie['kind'], forMs: number): void {
    const job = this.#any('running');
    if (!job || job.lie) return;
    this.#faults.happened(`lrm calls a running job ${kind === 'hidden' ? 'unknown' : 'failed'}`);
    const now = this.#clock.now();
    job.lie = { kind, since: now, until: now + forMs };
  }

  /** It forgets a job, which is gone with all its processes. */
  lose(): void {
    const job = this.#any('running') ?? this.#any('waiting');
    if (!job) return;
    this.#faults.happened('job lost');
    job.verdict = 'failed';
    const now = this.#clock.now();
    job.lie = { kind: 'hidden', since: now, until: Number.POSITIVE_INFINITY };
    if (job.state === 'waiting') return this.#over(job, 'failed');
    job.state = 'ending';
    for (const pilot of job.pilots) pilot.kill();
    this.#lookWhetherOver(job);
  }

  #any(state: LrmJobState): Job | undefined {
    const ids = this.idsOf(state);
    return this.#jobs.get(ids[this.#dice.int(0, Math.max(0, ids.length - 1))] ?? '');
  }

  #lieOf({ lie }: Job): Lie | undefined {
    return lie && this.#clock.now() < lie.until ? lie : undefined;
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

  /** When it last came back, or will, and knew again how its jobs are: milliseconds since the epoch. */
  get troubledUntil(): number {
    return Math.max(this.#downUntil, this.#blindUntil);
  }

  /** A pilot is killed (-9). */
  killPilot(): void {
    const pilots = [...this.#jobs.values()].flatMap(job => job.pilots);
    pilots[this.#dice.int(0, Math.max(0, pilots.length - 1))]?.kill();
  }

  /** A node loses its power: what ran on it is gone, and the jobs that it was part of end when the LRM notices. It is back after a while. */
  loseNode(node: SimNode = this.#dice.pick(this.#nodes as readonly [SimNode, ...SimNode[]])): void {
    this.#faults.happened('node lost');
    const downMs = this.#dice.pick([20_000, 200_000]);
    node.powerOff(this.#clock.now() + downMs);
    this.#clock.after(downMs, () => this.#planPass());
    const noticedMs = this.#dice.pick([0, 1_000, 20_000, 300_000]);
    node.troubledUntil = Math.max(node.troubledUntil, this.#clock.now() + noticedMs);
    for (const job of this.#jobs.values()) {
      if (isOver(job) || !job.nodes.includes(node)) continue;
      for (const pilot of job.pilots) if (this.#nodeOf.get(pilot) === node) pilot.powerOff();
      this.#clock.after(noticedMs, () => this.end(job.jobId, 'failed', 'NodeFail'));
    }
  }

  /**
   * A job of higher priority has a running job stopped for a while; its end is moved by as much, or
   * not. Returns its nodes, which cannot be heard meanwhile.
   */
  suspend(forMs: number): readonly SimNode[] {
    const job = this.#any('running');
    if (!job || job.unlaunched > 0 || job.lie) return [];
    this.#faults.happened('job suspended');
    job.state = 'suspended';
    if (this.#dice.chance(0.7)) {
      job.endsAt = (job.endsAt ?? 0) + forMs;
      this.#armEnd(job);
    }
    this.#clock.after(forMs, () => {
      if (job.state === 'suspended') job.state = 'running';
    });
    return job.nodes;
  }

  /** An administrator takes a node out of service for a while, one that has a job if any has: the job goes on, nothing new begins there. */
  drain(forMs: number): void {
    const busy = this.#any('running')?.nodes ?? [];
    const [node = this.#dice.pick(this.#nodes as readonly [SimNode, ...SimNode[]])] = busy;
    this.#faults.happened(`node ${busy.length > 0 ? 'of a running job' : 'that is idle'} drained`);
    this.#drainedUntil.set(node, Math.max(this.#drainedUntil.get(node) ?? 0, this.#clock.now() + forMs));
    this.#clock.after(forMs, () => this.#planPass());
  }

  #isDrained(node: SimNode): boolean {
    return (this.#drainedUntil.get(node) ?? 0) > this.#clock.now();
  }

  /** Ends a job, as `cancel` does, but for a reason of the LRM's own: the first pilot is told at once, the others when the word gets there. */
  end(jobId: string, verdict: LrmJobState, reason: string): void {
    const job = this.#jobs.get(jobId);
    if (!job || isOver(job) || job.state === 'ending') return;
    job.reason = reason;
    if (job.state === 'waiting') return this.#over(job, verdict);
    job.verdict = verdict;
    job.state = 'ending';
    for (const pilot of job.pilots) this.#warn(pilot);
    const late = this.#dice.chance(this.#troubles.lateKills);
    if (late) this.#faults.happened('kill late');
    this.#clock.after(killDelayMs + (late ? this.#dice.int(1_000, 60_000) : 0), () => {
      for (const pilot of job.pilots) pilot.kill();
    });
    this.#lookWhetherOver(job);
  }

  #warn(pilot: PilotProcess): void {
    const bad = this.#dice.chance(this.#troubles.badSignals);
    if (!bad) return void this.#clock.after(this.#dice.int(0, 1_500), () => pilot.terminate());
    const late = this.#dice.chance(0.5);
    this.#faults.happened(late ? 'signal late' : 'no signal');
    if (late) this.#clock.after(this.#dice.int(3_000, killDelayMs), () => pilot.terminate());
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
          if (node.downUntil <= this.#clock.now() && !this.#isDrained(node) && fits(job, node, used))
            nodes.push(node);
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
    if (this.#faults.over || !this.#dice.chance(0.02)) return;
    this.#faults.happened('job preempted at its start');
    this.#clock.after(this.#dice.int(100, 2_500), () => this.end(job.jobId, 'preempted', 'PREEMPTED'));
  }

  #armEnd(job: Job): void {
    const endsAt = job.endsAt ?? 0;
    job.endSetAt = this.#clock.now();
    this.#clock.after(Math.max(0, endsAt - this.#clock.now()), () => {
      if (job.endsAt === endsAt) this.end(job.jobId, 'timeout', 'TimeLimit');
    });
  }

  #launchOn(job: Job, node: SimNode, endsAt: number): void {
    // A job that has been told to go launches nothing more; nor does a node without power.
    if (job.state !== 'running') return;
    job.unlaunched -= 1;
    if (this.#clock.now() < node.downUntil) return this.#lookWhetherOver(job);
    const pilot = this.#launch(node, job.request.program, endsAt);
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
    if (job.ghost) return;
    if (!this.#dice.chance(this.#troubles.ghosts)) return this.#over(job, job.verdict ?? 'completed');
    job.ghost = true;
    this.#faults.happened('lrm calls a job running that is over');
    const forMs = this.#dice.int(1_000, 90_000);
    this.#blindUntil = Math.max(this.#blindUntil, this.#clock.now() + forMs);
    this.#clock.after(forMs, () => this.#over(job, job.verdict ?? 'completed'));
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

/** In the LRM's words, true or not. */
function describe(job: Job, lie: Lie | undefined, isDrained: (node: SimNode) => boolean): LrmJob {
  const { jobId, request, startedAt, endsAt, nodes } = job;
  const { state, reason } = lie ? { state: 'failed' as const, reason: 'NodeFail' } : job;
  const names = nodes.map(({ name }) => name);
  const told = { jobId, jobName: request.jobName, state, reason, startedAt, endsAt, nodes: names };
  if (state !== 'running') return told;
  const draining = nodes.filter(isDrained).map(({ name }) => ({ node: name, reason: 'maintenance' }));
  return { ...told, draining };
}
