import { readlinkSync } from 'node:fs';
import { cpus } from 'node:os';
import type { CgroupLimits } from './cgroups.ts';
import { argumentsOf, environmentOf, ownerOf, pidsWith } from './proc.ts';

/**
 * How many helpers one user has on a node. A slot has one, and takes a processor at least: there are
 * no more leases on a node than it has processors, and twice as many helpers while some end and
 * others start. Small nodes may be given to more jobs than they have processors for.
 *
 * Each counts all that are there while it is still in the job's cgroup, whose limits are the LRM's.
 * The last one to count sees all that went on before it: so there are never more, however many are
 * started at once.
 */
const fewest = 64;

/** The most helpers that a user other than root may have on this node at once. */
export function mostHelpers(processors = cpus().length): number {
  return Math.max(fewest, 2 * processors);
}

/** What so many helpers may take together, with the programs that they run and their DHCP services. */
export function limitsOf(helpers: number): CgroupLimits {
  // One has a dozen threads and 20 MiB of its own, not those files that all have in memory.
  return { processes: 32 * helpers, memoryMiB: 64 * helpers };
}

/**
 * The helpers of a user on this node, this process too if it is one: processes of root's that run
 * this very Node.js, which nobody else can have, and for whom sudo has said that it was this user
 * who asked (`ambient.ts` forgets it; the kernel does not).
 */
export function helpersOf(uid: number): readonly number[] {
  return pidsWith('helper').filter(
    pid =>
      isOurNode(pid) &&
      argumentsOf(pid)[2] === 'helper' &&
      ownerOf(pid) === 0 &&
      environmentOf(pid).includes(`SUDO_UID=${uid}`),
  );
}

function isOurNode(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === process.execPath;
  } catch {
    return false;
  }
}
