import { type Policy, slotFor } from '../../src/lease/policies/policy.ts';
import { noQuotas } from '../../src/lease/quota.ts';
import type { LeaseSettings } from '../../src/lease/types.ts';
import { Cluster } from './cluster.ts';
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
function settings(policy: Policy, nodes: number): LeaseSettings {
  return {
    networks: [],
    defaultNetwork: null,
    quotas: noQuotas,
    policy,
    images: [],
    defaultDurationMs: 3_600_000,
    maxDurationMs: 30 * 86_400_000,
    vmmOverheadMiB: 96,
    walltimePadMs: 120_000,
    shutdownGraceMs: 10_000,
    endNoticesMs: [],
    reserveTimeoutMs: 60_000,
    deployTimeoutMs: 300_000,
    releaseTimeoutMs: 60_000,
    site: {
      nodes,
      memoryMiBPerNode: node.memoryMiB,
      cpusPerNode: node.cpus,
      maxWalltimeMs: null,
      walltimeStepMs: 60_000,
      killDelayMs: 30_000,
    },
  };
}

/** Runs a workload under a policy, as the product would ask for slots. */
export function runWorkload(wishes: readonly Wish[], policy: Policy, nodes: number): Outcome {
  const cluster = new Cluster(nodes);
  const site = settings(policy, nodes);
  const sums = { response: 0, wait: 0, work: 0, tooShort: 0 };
  let lastS = 0;

  const lease = (wish: Wish, leaseS: number, nowS: number): void => {
    const slot = slotFor([{ count: wish.vms, ...vm }], leaseS * 1_000, site);
    // What the slot leaves for the lease, extensions included.
    const longestS = (slot.walltimeMs - site.walltimePadMs - site.shutdownGraceMs - 32_000) / 1_000;
    const extended =
      longestS >= wish.runS && wish.runS - leaseS <= Math.max(shortestExtensionS, longestS - leaseS);
    const done = wish.runS <= leaseS || extended;
    cluster.submit(
      {
        nodes: slot.nodesWanted,
        walltimeS: slot.walltimeMs / 1_000,
        start: startS => {
          if (done) sums.wait += startS - wish.submitS;
          return deployS + (done ? wish.runS : leaseS) + releaseS;
        },
        ended: endS => {
          lastS = Math.max(lastS, endS);
          if (done) {
            sums.response += endS - releaseS - wish.submitS;
            sums.work += wish.runS * wish.vms;
          } else {
            sums.tooShort += 1;
            lease(wish, leaseS * 2, endS);
          }
        },
      },
      nowS,
    );
  };
  for (const wish of wishes) {
    while (cluster.nextEndS() <= wish.submitS) cluster.endNext();
    lease(wish, wish.guessS, wish.submitS);
  }
  while (Number.isFinite(cluster.nextEndS())) cluster.endNext();

  const spanS = lastS - (wishes[0]?.submitS ?? 0);
  return {
    utilisation: (sums.work * vm.cpus) / (spanS * nodes * node.cpus),
    meanResponseS: sums.response / wishes.length,
    meanWaitS: sums.wait / wishes.length,
    wastedNodeHours: (cluster.nodeSeconds - (sums.work * vm.cpus) / node.cpus) / 3_600,
    heldNodeHours: cluster.nodeSeconds / 3_600,
    tooShort: sums.tooShort,
  };
}
