/**
 * A batch scheduler as sites run it: first come, first served, with EASY backfilling (Lifka 1995): a later job may start before the first in the queue when it does not
 * delay it, by the walltimes that were asked for. Nodes are alike and given whole. Times in seconds.
 */
export interface Job {
  readonly nodes: number;
  readonly walltimeS: number;
  /** Called when it starts. Returns for how long it will really hold its nodes, as far as is known then. */
  readonly start: (nowS: number) => number;
  readonly ended: (nowS: number) => void;
}

interface Running {
  readonly nodes: number;
  readonly startS: number;
  readonly endS: number;
  /** By its walltime: what the scheduler reckons with. */
  readonly latestS: number;
  readonly job: Job;
}

/** One cluster; `nodeSeconds` is what jobs have held of it. */
export class Cluster {
  readonly nodes: number;
  nodeSeconds = 0;
  #free: number;
  #queue: Job[] = [];
  /** By their end, the next first. */
  readonly #running: Running[] = [];

  constructor(nodes: number) {
    this.nodes = nodes;
    this.#free = nodes;
  }

  submit(job: Job, nowS: number): void {
    if (job.nodes > this.nodes) throw new Error(`a job of ${job.nodes} nodes on a cluster of ${this.nodes}`);
    this.#queue.push(job);
    this.#schedule(nowS);
  }

  /** When the next job ends; infinite when none runs. */
  nextEndS(): number {
    return this.#running[0]?.endS ?? Number.POSITIVE_INFINITY;
  }

  /** A job that runs will end then, not when it was thought to; never after its walltime. */
  endAt(job: Job, endS: number): void {
    const at = this.#running.findIndex(running => running.job === job);
    const [running] = at < 0 ? [] : this.#running.splice(at, 1);
    if (running) this.#insert({ ...running, endS: Math.min(endS, running.latestS) });
  }

  /** What jobs that still run have held so far is counted too. */
  close(nowS: number): void {
    for (const { nodes, startS } of this.#running) this.nodeSeconds += nodes * (nowS - startS);
  }

  /** Ends the next one. */
  endNext(): void {
    const next = this.#running.shift();
    if (!next) return;
    this.#free += next.nodes;
    this.nodeSeconds += next.nodes * (next.endS - next.startS);
    next.job.ended(next.endS);
    this.#schedule(next.endS);
  }

  #schedule(nowS: number): void {
    while (this.#queue[0] && this.#queue[0].nodes <= this.#free)
      this.#start(this.#queue.shift() as Job, nowS);
    const [head] = this.#queue;
    if (!head) return;
    const { atS, spare } = this.#reservation(head);
    let left = spare;
    this.#queue = this.#queue.filter((job, index) => {
      if (index === 0 || job.nodes > this.#free) return true;
      const inTime = nowS + job.walltimeS <= atS;
      if (!inTime && job.nodes > left) return true;
      if (!inTime) left -= job.nodes;
      this.#start(job, nowS);
      return false;
    });
  }

  /** When the first in the queue can start at the latest, and how many nodes it will leave free then. */
  #reservation(head: Job): { readonly atS: number; readonly spare: number } {
    let free = this.#free;
    for (const { nodes, latestS } of this.#running.toSorted((one, other) => one.latestS - other.latestS)) {
      free += nodes;
      if (free >= head.nodes) return { atS: latestS, spare: free - head.nodes };
    }
    throw new Error('a job that never fits');
  }

  #start(job: Job, nowS: number): void {
    this.#free -= job.nodes;
    const [startS, latestS] = [nowS, nowS + job.walltimeS];
    // It is there before it is told, so that it can be told to end at once.
    this.#insert({ nodes: job.nodes, startS, endS: latestS, latestS, job });
    this.endAt(job, nowS + job.start(nowS));
  }

  #insert(entry: Running): void {
    const at = this.#running.findIndex(({ endS }) => endS > entry.endS);
    this.#running.splice(at < 0 ? this.#running.length : at, 0, entry);
  }
}
