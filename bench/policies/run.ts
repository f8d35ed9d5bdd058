import { type Policy, slotFor } from '../../src/lease/policies/index.ts';
import { noQuotas } from '../../src/lease/quota.ts';
import type { PoolSettings } from '../../src/lease/settings.ts';
import { endMarginMs, walltimeFor } from '../../src/lease/policies/slot-request.ts';
import { Cluster, type Job } from './cluster.ts';
import type { Wish } from './workload.ts';

/** What a policy made of a workload. */
export interface Outcome {
  /** Share of the cluster's processors, from the first submission to the last end, that did users' work. */
  readonly utilisation: number;
  /** From submission until the work was done; mean, in seconds. */
  readonly meanResponseS: number;
  /** Until the (last) lease began. */
  readonly meanWaitS: number;
  /** Of what was held, what did not do users' work that was kept: idle processors of nodes, leases that were too short, starting and releasing. */
  readonly wastedNodeHours: number;
  readonly heldNodeHours: number;
  /** Leases that ended before the work was done; it was done again with a lease twice as long. */
  readonly tooShort: number;
}

/** The simulated nodes. */
export const node = { memoryMiB: 16_384, cpus: 4 };
const vm = { memoryMiB: 2_048, cpus: 1 };
/** Until all VMs run, and until the nodes are jobs' nodes again: as measured on real guests, rounded up. */
const deployS = 10;
const releaseS = 5;
const shortestExtensionS = 60;

/** The product's own settings; only the policy and the size of the cluster differ. */
function settings(policy: Policy, nodes: number): PoolSettings {
  return {
    networks: [],
    pools: [],
    defaultNetwork: null,
    quotas: noQuotas,
    policy,
    images: [],
    defaultDurationMs: 3_600_000,
    maxDurationMs: 30 * 86_400_000,
    memory: { vmm: { fixedMiB: 96, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 96 },
    walltimePadMs: 120_000,
    shutdownGraceMs: 10_000,
    endNoticesMs: [],
    submitTimeoutMs: 3_600_000,
    reserveTimeoutMs: 60_000,
    pilotSilenceMs: 300_000,
    drain: 'wait',
    suspended: 'wait',
    deployTimeoutMs: 300_000,
    releaseTimeoutMs: 60_000,
    retireAfterMs: Number.POSITIVE_INFINITY,
    site: {
      nodes,
      sizes: null,
      memoryMiBPerNode: node.memoryMiB,
      cpusPerNode: node.cpus,
      maxWalltimeMs: null,
      walltimeStepMs: 60_000,
      killDelayMs: 30_000,
      free: null,
    },
  };
}

/** Runs a workload under a policy, as the product would ask for slots. */
export function runWorkload(wishes: readonly Wish[], policy: Policy, nodes: number): Outcome {
  const run = new PolicyRun(policy, nodes, wishes.length);
  for (const wish of wishes) {
    run.until(wish.submitS);
    run.lease(wish, wish.guessS, wish.submitS);
  }
  return run.finish(wishes[0]?.submitS ?? 0);
}

/** A slot that runs. */
interface Held {
  readonly job: Job;
  readonly latestS: number;
  readonly warm: boolean;
  user: number | null;
  /** Until when it is kept for nobody; undefined while somebody is in it. */
  keptUntilS?: number | undefined;
}

class PolicyRun {
  readonly #cluster: Cluster;
  readonly #policy: Policy;
  readonly #site: PoolSettings;
  readonly #wishes: number;
  readonly #sums = { response: 0, wait: 0, work: 0, tooShort: 0 };
  /** By their time, the next last. */
  readonly #timers: { readonly atS: number; readonly fire: () => void }[] = [];
  readonly #held = new Set<Held>();
  #left: number;
  #lastS = 0;

  constructor(policy: Policy, nodes: number, wishes: number) {
    this.#policy = policy;
    this.#cluster = new Cluster(nodes);
    this.#site = settings(policy, nodes);
    this.#wishes = wishes;
    this.#left = wishes;
    if (policy.kind === 'warm') for (let count = 0; count < policy.slots; count++) this.#askWarm(policy, 0);
  }

  /** Lets time pass. */
  until(timeS: number): void {
    while (this.#left > 0 && this.#next() <= timeS) {
      const timer = this.#timers.at(-1);
      if (timer && timer.atS <= this.#cluster.nextEndS()) {
        this.#timers.pop();
        timer.fire();
      } else this.#cluster.endNext();
    }
  }

  finish(firstS: number): Outcome {
    this.until(Number.MAX_VALUE);
    this.#cluster.close(this.#lastS);
    const { work, response, wait, tooShort } = this.#sums;
    const { nodes, nodeSeconds } = this.#cluster;
    return {
      utilisation: (work * vm.cpus) / ((this.#lastS - firstS) * nodes * node.cpus),
      meanResponseS: response / this.#wishes,
      meanWaitS: wait / this.#wishes,
      wastedNodeHours: (nodeSeconds - (work * vm.cpus) / node.cpus) / 3_600,
      heldNodeHours: nodeSeconds / 3_600,
      tooShort,
    };
  }

  lease(wish: Wish, leaseS: number, nowS: number): void {
    const slot = this.#heldFor(wish, leaseS, nowS);
    if (slot) {
      if (slot.warm && slot.user === null && this.#policy.kind === 'warm') this.#askWarm(this.#policy, nowS);
      this.#occupy(slot, wish, leaseS, nowS);
      return;
    }
    const asked = slotFor([{ count: wish.vms, ...vm }], leaseS * 1_000, this.#site);
    this.#submit(asked.nodesWanted, asked.walltimeMs / 1_000, false, nowS, (held, startS) =>
      this.#occupy(held, wish, leaseS, startS),
    );
  }

  #submit(
    nodes: number,
    walltimeS: number,
    warm: boolean,
    nowS: number,
    started: (held: Held, startS: number) => void,
  ): void {
    const job: Job = {
      nodes,
      walltimeS,
      start: startS => {
        const held: Held = { job, latestS: startS + walltimeS, warm, user: null };
        this.#held.add(held);
        this.#at(startS, () => started(held, startS));
        return walltimeS;
      },
      ended: () => {
        for (const held of this.#held) if (held.job === job) this.#held.delete(held);
      },
    };
    this.#cluster.submit(job, nowS);
  }

  /** The product's rule: room, time enough, nobody else's; of several the one that ends first. */
  #heldFor(wish: Wish, leaseS: number, nowS: number): Held | undefined {
    const { walltimePadMs } = this.#site;
    const neededS = leaseS + walltimePadMs / 1_000 + this.#marginS();
    return [...this.#held]
      .filter(({ keptUntilS = 0 }) => keptUntilS > nowS)
      .filter(({ job, latestS }) => job.nodes >= wish.vms && latestS >= nowS + neededS)
      .filter(({ user }) => user === null || user === wish.user)
      .sort((one, other) => one.latestS - other.latestS)[0];
  }

  #occupy(held: Held, wish: Wish, leaseS: number, nowS: number): void {
    held.user = wish.user;
    held.keptUntilS = undefined;
    this.#cluster.endAt(held.job, held.latestS);
    // What the slot leaves for the lease, extensions included.
    const longestS = held.latestS - nowS - this.#site.walltimePadMs / 1_000 - this.#marginS();
    const extended =
      longestS >= wish.runS && wish.runS - leaseS <= Math.max(shortestExtensionS, longestS - leaseS);
    const done = wish.runS <= leaseS || extended;
    const overS = nowS + deployS + (done ? wish.runS : leaseS);
    if (done) this.#sums.wait += nowS - wish.submitS;
    this.#at(overS, () => {
      this.#vacate(held, overS);
      if (done) return this.#done(wish, overS);
      this.#sums.tooShort += 1;
      this.lease(wish, leaseS * 2, overS);
    });
  }

  #done(wish: Wish, nowS: number): void {
    this.#left -= 1;
    this.#lastS = Math.max(this.#lastS, nowS);
    this.#sums.response += nowS - wish.submitS;
    this.#sums.work += wish.runS * wish.vms;
  }

  #vacate(held: Held, nowS: number): void {
    const keepS = this.#policy.kind === 'reuse' ? this.#policy.keepMs / 1_000 : 0;
    this.#keep(held, Math.max(nowS, Math.min(nowS + keepS, held.latestS - this.#marginS())));
  }

  #keep(held: Held, untilS: number): void {
    held.keptUntilS = untilS;
    this.#cluster.endAt(held.job, untilS + releaseS);
  }

  /** Renewed at half of its time, given back at three quarters. */
  #askWarm(policy: Extract<Policy, { kind: 'warm' }>, nowS: number): void {
    const walltimeS = walltimeFor(policy.durationMs, this.#site) / 1_000;
    this.#submit(policy.nodes, walltimeS, true, nowS, (held, startS) => {
      this.#keep(held, startS + walltimeS * 0.75);
      const renewS = startS + walltimeS * 0.5;
      this.#at(renewS, () => held.user === null && this.#askWarm(policy, renewS));
    });
  }

  #marginS(): number {
    return endMarginMs(this.#site) / 1_000;
  }

  #next(): number {
    return Math.min(this.#cluster.nextEndS(), this.#timers.at(-1)?.atS ?? Number.POSITIVE_INFINITY);
  }

  #at(atS: number, fire: () => void): void {
    const at = this.#timers.findIndex(timer => timer.atS <= atS);
    this.#timers.splice(at < 0 ? this.#timers.length : at, 0, { atS, fire });
  }
}
