import { LrmError, type LrmCapabilities } from '../lrm.ts';
import { capacityOf, type SizedNode } from '../sizes.ts';
import { optionValue } from './options.ts';
import { matches } from './constraint.ts';
import { expandHostlist } from './hostlist.ts';
import { type AskTable, given } from './table.ts';

/** Where gangs go: in which partitions, to what the site's options leave of their nodes. */
export interface Place {
  /** Names with commas between them. Default: the default partition. */
  readonly queue?: string | undefined;
  readonly options: readonly string[];
}

type Sizes = Pick<
  LrmCapabilities,
  'nodes' | 'idleNodes' | 'sizes' | 'memoryMiBPerNode' | 'cpusPerNode' | 'maxWalltimeMs'
>;

/**
 * The nodes of the site's partitions by size. `-e`: Slurm tells nodes apart that differ in what is
 * asked for, instead of the least of each. All partitions, hidden ones too: sinfo does not take -a
 * together with the name of one. Throws `LrmError` (`unavailable`).
 */
export async function askSizes(askTable: AskTable, place: Place): Promise<Sizes> {
  const fields = ['Partition', 'Available', 'Time', 'NodeList', 'Memory', 'CPUs', 'StateLong', 'Features'];
  return sizesOf(await askTable('sinfo', ['-a', '-e'], fields), place);
}

/** See `askSizes`. A node in two partitions is one node. */
export function sizesOf(rows: readonly (readonly string[])[], { queue, options }: Place): Sizes {
  const ours = partitionsOf(rows, queue);
  const constraint = optionValue(options, 'constraint', 'C');
  const excluded = new Set(expandHostlist(optionValue(options, 'exclude', 'x') ?? ''));
  const nodes = new Map<string, SizedNode>();
  for (const [, available, , names = '', memory, cpus, state = '', features = ''] of ours) {
    if (constraint !== undefined && !matches(constraint, given(features)?.split(',') ?? [])) continue;
    for (const name of expandHostlist(names)) {
      // `idle~` is powered down, and is started for a job; any other sign says that nothing can
      // begin there now.
      const idle = (available === 'up' && /^idle~?$/.test(state)) || nodes.get(name)?.idle === true;
      if (!excluded.has(name)) nodes.set(name, { memoryMiB: Number(memory), cpus: Number(cpus), idle });
    }
  }
  const longest = ours.map(([, , time = '']) => walltimeMs(time));
  const maxWalltimeMs = longest.includes(undefined) ? undefined : Math.max(...longest.map(each => each ?? 0));
  return { ...capacityOf([...nodes.values()]), ...(maxWalltimeMs === undefined ? {} : { maxWalltimeMs }) };
}

/** The rows of these partitions; the default one's has a star. */
function partitionsOf(
  rows: readonly (readonly string[])[],
  queue: string | undefined,
): readonly (readonly string[])[] {
  const of = (isOne: (name: string) => boolean): readonly (readonly string[])[] =>
    rows.filter(([name = '']) => isOne(name));
  if (queue !== undefined) {
    const wanted = queue.split(',').filter(name => name !== '');
    const missing = wanted.find(each => of(name => name.replace(/\*$/, '') === each).length === 0);
    if (missing !== undefined) throw new LrmError('refused', `Slurm has no queue ${missing}`);
    return of(name => wanted.includes(name.replace(/\*$/, '')));
  }
  const defaults = of(name => name.endsWith('*'));
  if (defaults.length > 0) return defaults;
  if (rows.length === 0) throw new LrmError('unavailable', 'Slurm has no queue (default)');
  return rows;
}

/** Slurm's `days-hours:minutes:seconds`; undefined for `infinite`. */
function walltimeMs(text: string): number | undefined {
  const match = /^(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)$/.exec(text);
  if (!match) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map(part => Number(part ?? 0));
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1_000;
}
