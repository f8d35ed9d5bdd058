import { appendFileSync } from 'node:fs';
import { pause, systemClock } from '../../../src/platform/clock.ts';
import { systemRandom } from '../../../src/platform/random.ts';
import { canSpawn, hasOrphans, signalTasks, slotsOf, startTask, startTop } from './mom.ts';
import {
  demuxSeconds,
  type Job,
  orphanSeconds,
  orphansFileOf,
  Refusal,
  type ShimConfig,
  type ShimRequest,
  stagingSeconds,
  type Task,
} from './model.ts';
import { jobOf } from './submit.ts';

/**
 * The queue, in memory: what pbs_server and its scheduler do.
 *
 *   H ─► Q ─► R ─► (TERM to the first node's processes ─► kill delay ─► KILL to all) ─► E ─► ended        R ─► Q when it is run again; R ⇄ S
 *
 * A job has ended when its top task has, and then all of its tasks have been killed, and output
 * that is
 * not kept has been copied, during which it has its nodes.
 */
export class PbsServer {
  readonly config: ShimConfig;
  readonly jobs = new Map<string, Job>();
  /** `max_queued` of the server, for each user. */
  mostJobsOfUser = Number.POSITIVE_INFINITY;
  #number = 0;

  constructor(config: ShimConfig) {
    this.config = config;
  }

  get now(): number {
    return Math.floor(systemClock.now() / 1_000);
  }

  /** What of a node running jobs have. */
  usedOf(node: string): { readonly cpus: number; readonly memoryMiB: number; readonly jobs: readonly Job[] } {
    const jobs = [...this.jobs.values()].filter(job => job.state !== 'ended' && job.hosts.includes(node));
    const sum = (of: (job: Job) => number): number => jobs.reduce((total, job) => total + of(job), 0);
    return { cpus: sum(({ cpus }) => cpus), memoryMiB: sum(({ memoryMiB }) => memoryMiB), jobs };
  }

  submit(request: ShimRequest): Job {
    const cookie = Buffer.from(systemRandom.bytes(8)).toString('hex');
    const job = jobOf(this.config, request, { number: this.#number, cookie, now: this.now });
    if (this.config.dialect === 'torque' && job.nodes > this.config.nodes.length)
      throw new Refusal(
        190,
        'qsub: submit error (Job exceeds queue resource limits MSG=cannot locate feasible nodes (nodes file is empty, all systems are busy, or no nodes have the requested feature))',
      );
    this.#refuseBeyondLimit(job);
    this.#number += 1;
    this.jobs.set(job.id, job);
    this.schedule();
    return job;
  }

  #refuseBeyondLimit({ owner, queue }: Job): void {
    const theirs = [...this.jobs.values()].filter(job => job.owner === owner && job.state !== 'ended');
    if (theirs.length < this.mostJobsOfUser) return;
    const user = owner.replace(/@.*$/, '');
    throw this.config.dialect === 'openpbs'
      ? new Refusal(198, `qsub: Maximum number of jobs for user ${user} already in complex`)
      : new Refusal(
          198,
          `qsub: submit error (Maximum number of jobs already in queue for user MSG=total number of current user's jobs exceeds the queue limit: user ${owner}, queue ${queue})`,
        );
  }

  /** Starts what fits, first come first served, and says of the rest why it waits. */
  schedule(): void {
    for (const job of this.jobs.values()) {
      if (job.state !== 'Q') continue;
      const { nodes } = this.config;
      const could = nodes.filter(({ cpus, memoryMiB }) => job.cpus <= cpus && job.memoryMiB <= memoryMiB);
      const free = could.filter(({ name, cpus, memoryMiB }) => {
        const used = this.usedOf(name);
        return used.cpus + job.cpus <= cpus && used.memoryMiB + job.memoryMiB <= memoryMiB;
      });
      if (job.nodes > could.length) this.#comment(job, 'Can Never Run: Not enough total nodes available');
      else if (free.length < job.nodes) this.#comment(job, 'Not Running: Not enough free nodes available');
      else
        this.#start(
          job,
          free.slice(0, job.nodes).map(({ name }) => name),
        );
    }
  }

  #comment(job: Job, comment: string): void {
    if (this.config.dialect === 'openpbs') job.comment = comment;
  }

  #start(job: Job, hosts: readonly string[]): void {
    Object.assign(job, {
      state: 'R',
      hosts,
      startedAt: this.now,
      changedAt: this.now,
      substate: 41,
      runs: job.runs + 1,
    });
    const [, day, month, date, clock] =
      /^(\w+), (\d+) (\w+) \d+ (\d+:\d+)/.exec(new Date(this.now * 1_000).toUTCString()) ?? [];
    this.#comment(job, `Job run at ${day} ${date} ${month} at ${clock} on ${vnodesOf(job)}`);
    const begin = (): void =>
      void startTop(this.config, job).then(
        top => this.#run(job, top),
        () => this.#finish(job, -1),
      );
    systemClock.after(this.config.prologSeconds * 1_000, begin);
  }

  #run(job: Job, top: Task): void {
    job.tasks = [top, ...job.tasks];
    job.substate = 42;
    this.armWalltime(job);
    void top.child.exited.then(({ code, signal }) => {
      const finish = (): void => this.#finish(job, code ?? 256 + signalNumber(signal));
      // pbs_mom looks for them but now and then.
      if (!hasOrphans(this.config, job, top)) return finish();
      appendFileSync(orphansFileOf(this.config), `${job.id}\n`);
      systemClock.after(orphanSeconds * 1_000, finish);
    });
    // Deleted before its first process was there.
    if (job.ending) this.#warn(job);
  }

  /** Ends the job at the end of its walltime, which may have been changed. */
  armWalltime(job: Job): void {
    for (const stop of job.stopTimers) stop();
    const leftMs = ((job.startedAt ?? 0) + job.walltimeSeconds) * 1_000 - systemClock.now();
    job.stopTimers = [systemClock.after(Math.max(0, leftMs), () => this.#end(job, 'walltime'))];
  }

  /** qdel(1B). */
  delete(job: Job, by: string): void {
    if (job.state === 'ended') return;
    if (this.config.dialect === 'openpbs' && job.ending === undefined)
      job.comment += ` and terminated by ${by}`;
    if (job.state === 'Q' || job.state === 'H') {
      Object.assign(job, { state: 'ended', substate: 91, endedAt: this.now, changedAt: this.now });
      this.schedule();
    } else this.#end(job, 'deleted');
  }

  /**
   * The scheduler takes the nodes of a job for others, or `qsig -s suspend` does: all of its
   * processes are stopped.
   */
  suspend(job: Job, substate: number): void {
    if (job.state !== 'R') throw new Refusal(170, `qsig: Request invalid for state of job ${job.id}`);
    signalTasks(job.tasks, 'SIGSTOP');
    Object.assign(job, { state: 'S', substate, changedAt: this.now });
    this.#comment(job, 'Not Running: Insufficient amount of resource: ncpus (R: 2 A: 0 T: 8)');
  }

  resume(job: Job): void {
    if (job.state !== 'S') throw new Refusal(170, `qsig: Request invalid for state of job ${job.id}`);
    Object.assign(job, { state: 'R', substate: 42, changedAt: this.now });
    this.#comment(job, `Job run at ${new Date(this.now * 1_000).toUTCString()} on ${vnodesOf(job)}`);
    signalTasks(job.tasks, 'SIGCONT');
  }

  /** pbs_mom of the first node is started anew: it ends what it finds of the job. */
  restartMom(job: Job): void {
    job.ending = 'restarted';
    signalTasks(job.tasks, 'SIGKILL');
  }

  /** qrerun(1B): an operator has a job begin anew. */
  rerun(job: Job): void {
    if (!job.rerunable) throw new Refusal(190, `qrerun: job is not rerunnable ${job.id}`);
    if (job.state !== 'R') throw new Refusal(170, `qrerun: Request invalid for state of job ${job.id}`);
    job.ending = 'rerun';
    signalTasks(job.tasks, 'SIGKILL');
  }

  #end(job: Job, how: 'deleted' | 'walltime'): void {
    if (job.ending !== undefined) return;
    job.ending = how;
    if (how === 'walltime') this.#comment(job, `${job.comment} and exceeded resource walltime`);
    if (job.tasks.length > 0) this.#warn(job);
  }

  /** The mother superior's own processes are warned; nobody warns those of the sisters. */
  #warn(job: Job): void {
    signalTasks(
      job.tasks.filter(({ node }) => node === job.hosts[0]),
      'SIGTERM',
    );
    const kill = (): void => signalTasks(job.tasks, 'SIGKILL');
    job.stopTimers = [...job.stopTimers, systemClock.after(this.config.killDelaySeconds * 1_000, kill)];
  }

  #finish(job: Job, exitStatus: number): void {
    for (const stop of job.stopTimers) stop();
    Object.assign(job, { state: 'E', substate: 51 });
    signalTasks(job.tasks, 'SIGKILL');
    const isCopied = job.output === undefined || job.keeps || this.config.dialect === 'torque';
    void Promise.all(job.tasks.map(({ child }) => child.exited)).then(() => {
      if (isCopied) this.#close(job, exitStatus);
      else systemClock.after(stagingSeconds * 1_000, () => this.#close(job, exitStatus));
    });
  }

  #close(job: Job, exitStatus: number): void {
    Object.assign(job, { tasks: [], hosts: job.ending === 'rerun' ? [] : job.hosts, changedAt: this.now });
    if (job.ending === 'rerun')
      Object.assign(job, { state: 'Q', ending: undefined, startedAt: undefined, substate: 10 });
    else this.#record(job, exitStatus);
    this.schedule();
  }

  #record(job: Job, exitStatus: number): void {
    const overLimit = this.config.dialect === 'openpbs' ? -29 : -11;
    if (job.ending === undefined && exitStatus !== 0) this.#comment(job, `${job.comment} and failed`);
    if (job.ending === undefined && exitStatus === 0) this.#comment(job, `${job.comment} and finished`);
    Object.assign(job, {
      state: 'ended',
      endedAt: this.now,
      exitStatus: job.ending === 'walltime' ? overLimit : job.ending === 'restarted' ? -4 : exitStatus,
      substate: job.ending === 'deleted' ? 91 : exitStatus === 0 ? 92 : 93,
    });
  }

  /**
   * pbsdsh(1B): a task for each slot, or each host (`-u`). Resolves when all have ended, with their
   * exit
   * codes, or with nothing when none could be started; `onTasks` gets them as soon as they are
   * there.
   */
  async spawnAll(
    job: Job,
    argv: readonly string[],
    eachHost: boolean,
    onTasks: (tasks: readonly Task[]) => void,
  ): Promise<readonly number[] | undefined> {
    if (!canSpawn(this.config, job)) {
      await pause(systemClock, demuxSeconds * 1_000);
      return undefined;
    }
    const slots = slotsOf(this.config, job);
    const where = eachHost ? [...new Set(slots)] : slots;
    const tasks = await Promise.all(where.map(node => startTask(this.config, job, node, argv)));
    job.tasks = [...job.tasks, ...tasks];
    onTasks(tasks);
    // It has ended meanwhile.
    if (job.state !== 'R' && job.state !== 'S') signalTasks(tasks, 'SIGKILL');
    const exits = await Promise.all(tasks.map(({ child }) => child.exited));
    return exits.map(({ code, signal }) => code ?? 256 + signalNumber(signal));
  }
}

/** `(pbm1:ncpus=2:mem=524288kb)+(pbm2:…)`. */
export function vnodesOf({ hosts, cpus, memoryMiB }: Job): string {
  const memory = memoryMiB === 0 ? '' : `:mem=${memoryMiB * 1_024}kb`;
  return hosts.map(host => `(${host}:ncpus=${cpus}${memory})`).join('+');
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === 'SIGTERM' ? 15 : signal === 'SIGKILL' ? 9 : 1;
}
