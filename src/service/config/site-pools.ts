import { type Policy, readPolicy } from '../../lease/policies/index.ts';
import type { MemorySettings } from '../../lease/settings.ts';
import { lrmKind, optionMistakes } from '../../lrm/index.ts';
import type { ChosenLrm } from '../../lrm/kind.ts';
import { WspError } from '../../protocol/errors.ts';
import { defaultPoolName } from '../../protocol/ids.ts';
import type { NodeSettings } from '../../protocol/pilot.ts';
import type { PoolEntry, SiteFile } from './site-file.ts';
import { type NodePart, nodePart } from './site-node.ts';
import { type Mistake, sectionReader } from './site-values.ts';

/** One of the site's pools, checked. */
export interface PoolConfig extends ChosenLrm {
  readonly name: string;
  /** Where its LRM is written in the site file: `lrm`, `pools[1].lrm`. */
  readonly at: string;
  readonly policy: Policy;
  /** Null: all of the site's networks. */
  readonly reaches: readonly string[] | null;
  /** How its nodes are used: the site's `node`, with its own keys in their place. */
  readonly node: NodeSettings;
  /** What its VMM and a pilot take of a node beside the guests. */
  readonly memory: MemorySettings;
}

/** A pool, and what it says of its nodes that the site does not. */
type ReadPool = Omit<PoolConfig, 'node' | 'memory'> & { readonly node: Partial<NodePart> };

const ordinaryPolicy = { kind: 'exact' };

/** A pool by its name. Throws `WspError` (`not_found`). */
export function poolNamed(pools: readonly PoolConfig[], name: string): PoolConfig {
  const pool = pools.find(each => each.name === name);
  if (pool) return pool;
  const hint = `it has: ${pools.map(each => each.name).join(', ')}`;
  throw new WspError('not_found', `the site file has no pool ${name}`, { hint });
}

/** The site's pools: of `pools`, or the one that `lrm` and `policy` stand for. `at` makes a path absolute. */
export function poolsOf(site: SiteFile, at: (path: string) => string, mistake: Mistake): readonly ReadPool[] {
  const { lrm, policy, pools, networks } = site;
  if (lrm !== undefined && pools !== undefined) mistake('lrm', 'cannot be used together with pools');
  if (policy !== undefined && pools !== undefined) mistake('policy', 'belongs into each of the pools');
  if (lrm === undefined && pools === undefined) mistake('', 'lrm or pools is missing: where VMs run');
  const entries: readonly (PoolEntry & { readonly where: string })[] =
    pools?.map((pool, index) => ({ ...pool, where: `pools[${index}].` })) ??
    (lrm ? [{ name: defaultPoolName, lrm, ...(policy ? { policy } : {}), where: '' }] : []);
  const known = networks.map(({ name }) => name);
  return entries.map(({ name, lrm: written, policy: chosen, networks: reached, node, where }, index) => {
    if (entries.findIndex(other => other.name === name) !== index)
      mistake(`${where}name`, `${name} is the name of another pool too`);
    for (const network of reached ?? [])
      if (!known.includes(network))
        mistake(
          `${where}networks`,
          `${network} is none of the networks (${known.join(', ') || 'there are none'})`,
        );
    const kind = lrmKind(written);
    const once = kind.onlyOnce?.(written);
    if (once && entries.slice(0, index).some(({ lrm }) => lrm.kind === kind.kind && kind.onlyOnce?.(lrm)))
      mistake(`${where}lrm.${once.key}`, once.message);
    const chosenLrm = kind.read(written, sectionReader(`${where}lrm`, at, mistake));
    for (const wrong of optionMistakes(kind.kind, chosenLrm.gang.options))
      mistake(`${where}lrm.options[${wrong.index}]`, wrong.message);
    return {
      name,
      at: `${where}lrm`,
      ...chosenLrm,
      policy: readPolicy(chosen ?? ordinaryPolicy, sectionReader(`${where}policy`, at, mistake)),
      reaches: reached ?? null,
      node: nodePart(node ?? {}, `${where}node`, at, mistake),
    };
  });
}
