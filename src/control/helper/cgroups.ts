import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { statIfThere } from '../../platform/stat.ts';

/**
 * Where the helpers of a user are, in every cgroup hierarchy of the node (v2, v1, or both;
 * cgroups(7)).
 *
 *   the job's ─► the user's own, with limits, or the root where nothing can be limited   (serving)
 *             ─► the root                                                                (undoing)
 *
 * Out of the job's, so that the LRM's kill does not find them. In one of their own, so that all that
 * a user's helpers and their DHCP services take together is bounded. Out of that again for the undo,
 * so that the user's other helpers cannot keep the node from being restored. Whoever ends removes
 * those that are empty. If we crash: it stays, empty, for the next helper of the user, or until
 * another helper's end or kill-all.
 */

/** The cgroup filesystems, and the places of this process in them; others in tests. */
export interface CgroupFiles {
  readonly root: string;
  readonly self: string;
}

/** Those of this host and process. */
export const cgroupsHere: CgroupFiles = { root: '/sys/fs/cgroup', self: '/proc/self/cgroup' };

/** What the processes of all helpers of one user may take together. */
export interface CgroupLimits {
  /** Threads are counted too. */
  readonly processes: number;
  readonly memoryMiB: number;
}

const mebibyte = 1_048_576;
/** What limits, and what that is in words. */
const controllers = [
  ['pids', 'processes'],
  ['memory', 'memory'],
] as const;
type Controller = (typeof controllers)[number][0];

/** The files that limit: of one controller, one of them is there, as the hierarchy's version has it. */
const limitFiles: readonly (readonly [Controller, file: string, value: (limits: CgroupLimits) => number])[] =
  [
    ['pids', 'pids.max', ({ processes }) => processes],
    ['memory', 'memory.max', ({ memoryMiB }) => memoryMiB * mebibyte],
    ['memory', 'memory.limit_in_bytes', ({ memoryMiB }) => memoryMiB * mebibyte],
  ];

/** The last helper of the user may remove the cgroup between our making and our entering it. */
const mostAttempts = 10;

/** The cgroups of one user's helpers, for a helper. */
export class UserCgroups {
  readonly #uid: number;
  readonly #limits: CgroupLimits;
  readonly #files: CgroupFiles;

  constructor(uid: number, limits: CgroupLimits, files = cgroupsHere) {
    this.#uid = uid;
    this.#limits = limits;
    this.#files = files;
  }

  /**
   * Moves this process there. Returns a sentence for each thing that is not as it should be: a
   * hierarchy in which it could not leave the job (an LRM that kills by it would stop the undo), a
   * limit that this node cannot set.
   */
  enter(): readonly string[] {
    const { root, self } = this.#files;
    const isInJob = isBelowRoot(self);
    const limited = new Set<Controller>();
    const stuck: string[] = [];
    for (const hierarchy of hierarchiesIn(root)) {
      const set = canLimit(hierarchy)
        ? enterOwn(join(hierarchy, nameOf(this.#uid)), this.#limits)
        : undefined;
      if (set) set.forEach(controller => limited.add(controller));
      else if (isInJob && !moveTo(hierarchy)) stuck.push(hierarchy);
    }
    return [
      ...stuck.map(hierarchy => `cannot leave the job's cgroup in ${hierarchy}`),
      ...controllers
        .filter(([controller]) => !limited.has(controller))
        .map(([, words]) => `this node cannot limit the ${words} that a user's helpers take together`),
    ];
  }

  /** Moves this process to the roots, where none of the limits holds up what it does. */
  leave(): void {
    for (const hierarchy of hierarchiesIn(this.#files.root).filter(canLimit)) moveTo(hierarchy);
  }
}

/** Removes the cgroups of users' helpers in which nobody is. */
export function removeEmptyCgroups({ root } = cgroupsHere): void {
  for (const hierarchy of hierarchiesIn(root).filter(canLimit)) {
    for (const name of readdirSync(hierarchy).filter(each => /^workspace-pilot-\d+$/.test(each))) {
      try {
        rmdirSync(join(hierarchy, name));
      } catch {
        // In use; or another one has just removed it.
      }
    }
  }
}

function isBelowRoot(self: string): boolean {
  return readFileSync(self, 'utf8')
    .split('\n')
    .some(line => line !== '' && !line.endsWith(':/'));
}

function nameOf(uid: number): string {
  return `workspace-pilot-${uid}`;
}

/** The roots of the hierarchies. Where v2 is alone, what stands in its root are its children. */
function hierarchiesIn(root: string): readonly string[] {
  const isHierarchy = (path: string): boolean => existsSync(join(path, 'cgroup.procs'));
  if (isHierarchy(root)) return [root];
  return existsSync(root)
    ? readdirSync(root)
        .map(name => join(root, name))
        .filter(isHierarchy)
    : [];
}

/** Whether the root hands on a controller that limits; a v2 root does as systemd has set it. */
function canLimit(hierarchy: string): boolean {
  const handedOn = join(hierarchy, 'cgroup.subtree_control');
  const names = existsSync(handedOn)
    ? readFileSync(handedOn, 'utf8').split(/\s+/)
    : basename(hierarchy).split(',');
  return controllers.some(([controller]) => names.includes(controller));
}

/** The controllers that now limit this process there; undefined when it could not be moved. */
function enterOwn(cgroup: string, limits: CgroupLimits): readonly Controller[] | undefined {
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    try {
      if (!statIfThere(cgroup)) mkdirSync(cgroup);
    } catch {
      // Another helper of the user has just made it; or nobody can, which the move shows.
    }
    const set = limitFiles
      .filter(([, file, value]) => write(join(cgroup, file), value(limits)))
      .map(([controller]) => controller);
    if (moveTo(cgroup)) return set;
  }
  return undefined;
}

function moveTo(cgroup: string): boolean {
  return write(join(cgroup, 'cgroup.procs'), process.pid);
}

function write(path: string, value: number): boolean {
  try {
    writeFileSync(path, String(value), { flag: 'r+' });
    return true;
  } catch {
    return false;
  }
}
