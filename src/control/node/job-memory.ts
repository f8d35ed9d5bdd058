import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CgroupFiles, cgroupsHere } from '../helper/cgroups.ts';

/** The memory of this process's cgroup, which is the LRM's job: cgroups(7), either hierarchy. */
export interface JobMemory {
  /** How many of the job's processes the kernel has killed for want of memory. */
  readonly oomKills: number;
  /** The tightest limit, and the most that was used under it; undefined when there is no limit. */
  readonly limit: { readonly limitMiB: number; readonly usedMiB: number } | undefined;
}

/** The files of a cgroup: where the limit, the highest use and the kills stand. */
interface Hierarchy {
  readonly root: string;
  readonly directory: string;
  readonly limit: string;
  readonly used: readonly string[];
  readonly kills: string;
}

/** Undefined where nothing counts memory, or it cannot be read. */
export function jobMemory(files = cgroupsHere): JobMemory | undefined {
  try {
    const hierarchy = hierarchyOf(files);
    if (!hierarchy) return undefined;
    const { directory, kills } = hierarchy;
    const oomKills = Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(directory, kills), 'utf8'))?.[1] ?? 0);
    return { oomKills, limit: tightestLimit(hierarchy) };
  } catch {
    return undefined;
  }
}

function hierarchyOf({ root, self }: CgroupFiles): Hierarchy | undefined {
  const lines = readFileSync(self, 'utf8').split('\n');
  const pathOf = (wanted: (controllers: readonly string[]) => boolean): string | undefined =>
    lines
      .map(line => /^\d+:([^:]*):(.*)$/.exec(line))
      .find(match => match !== null && wanted((match[1] ?? '').split(',')))?.[2];
  // Where both are mounted, memory is counted in the first.
  const first = pathOf(controllers => controllers.includes('memory'));
  if (first !== undefined) {
    const top = join(root, 'memory');
    return {
      root: top,
      directory: join(top, first),
      limit: 'memory.limit_in_bytes',
      used: ['memory.max_usage_in_bytes'],
      kills: 'memory.oom_control',
    };
  }
  const second = pathOf(controllers => controllers.join('') === '');
  if (second === undefined) return undefined;
  return {
    root,
    directory: join(root, second),
    limit: 'memory.max',
    // Kernels before 5.19 do not keep the highest.
    used: ['memory.peak', 'memory.current'],
    kills: 'memory.events',
  };
}

/** A job's steps lie below the job, and any of them may be limited. */
function tightestLimit({ root, directory, limit, used }: Hierarchy): JobMemory['limit'] {
  let tightest: JobMemory['limit'];
  for (let at = directory; at.startsWith(root); at = dirname(at)) {
    const limitMiB = mebibytesIn(join(at, limit));
    if (limitMiB === undefined || (tightest && tightest.limitMiB <= limitMiB)) continue;
    const usedMiB = used.map(name => mebibytesIn(join(at, name))).find(value => value !== undefined);
    tightest = { limitMiB, usedMiB: usedMiB ?? limitMiB };
  }
  return tightest;
}

/** Without a limit the first hierarchy says some pages less than this; the second says `max`. */
const noLimitBytes = 2 ** 62;

function mebibytesIn(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const bytes = Number(readFileSync(path, 'utf8'));
  return Number.isFinite(bytes) && bytes < noLimitBytes ? Math.round(bytes / 2 ** 20) : undefined;
}

/** Tells of each process that the kernel has killed for want of memory since it was made, once. */
export class OomKills {
  readonly #look: () => JobMemory | undefined;
  #told: number;

  constructor(look: () => JobMemory | undefined = jobMemory) {
    this.#look = look;
    this.#told = look()?.oomKills ?? 0;
  }

  /** The job's memory, once for each process more that was killed: a SIGKILL has just ended one. */
  take(): JobMemory | undefined {
    const memory = this.#look();
    if (!memory || memory.oomKills <= this.#told) return undefined;
    this.#told += 1;
    return memory;
  }
}
