/**
 * A batch scheduler as sites run it: first come, first served, with EASY backfilling (Lifka 1995): a later job may start before the first in the queue when it does not
 * delay it, by the walltimes that were asked for. Nodes are alike and given whole. Times in seconds.
 */
export interface Job {
  readonly nodes: number;
  readonly walltimeS: number;
  /** Called when it starts. Returns for how long it will really hold its nodes. */
  readonly start: (nowS: number) => number;
  readonly ended: (nowS: number) => void;
}

interface Running {
  readonly nodes: number;
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

  /** Ends the next one. */
  endNext(): void {
    const next = this.#running.shift();
    if (!next) return;
    this.#free += next.nodes;
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
    const holdsS = Math.min(job.start(nowS), job.walltimeS);
    this.#free -= job.nodes;
    this.nodeSeconds += holdsS * job.nodes;
    const entry = { nodes: job.nodes, endS: nowS + holdsS, latestS: nowS + job.walltimeS, job };
    const at = this.#running.findIndex(({ endS }) => endS > entry.endS);
    this.#running.splice(at < 0 ? this.#running.length : at, 0, entry);
  }
}
