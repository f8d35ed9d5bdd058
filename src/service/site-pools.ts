import { availableParallelism, totalmem } from 'node:os';
import type { Policy } from '../lease/policies/policy.ts';
import type { LrmConfig } from '../lrm/index.ts';
import { optionMistakes } from '../lrm/options.ts';
import { defaultPoolName } from '../protocol/ids.ts';
import type { GangSite } from './lrm-effects.ts';
import type { PoolEntry, SiteFile } from './site-file.ts';
import { duration, memory, type Mistake, word } from './site-values.ts';

/** One of the site's pools, checked. */
export interface PoolConfig {
  readonly name: string;
  /** Where its LRM is written in the site file: `lrm`, `pools[1].lrm`. */
  readonly at: string;
  readonly lrm: LrmConfig;
  /** Added to every request to the LRM. */
  readonly gang: GangSite;
  readonly policy: Policy;
  /** Null: all of the site's networks. */
  readonly reaches: readonly string[] | null;
}

/** Of LRMs that are ours: as Slurm's own default (KillWait). */
const ownKillDelayMs = 30_000;

/** The site's pools: of `pools`, or the one that `lrm` and `policy` stand for. `at` makes a path absolute. */
export function poolsOf(
  site: SiteFile,
  at: (path: string) => string,
  mistake: Mistake,
): readonly PoolConfig[] {
  const { lrm, policy, pools, networks } = site;
  if (lrm !== undefined && pools !== undefined) mistake('lrm', 'cannot be used together with pools');
  if (policy !== undefined && pools !== undefined) mistake('policy', 'belongs into each of the pools');
  if (lrm === undefined && pools === undefined) mistake('', 'lrm or pools is missing: where VMs run');
  const entries: readonly (PoolEntry & { readonly where: string })[] =
    pools?.map((pool, index) => ({ ...pool, where: `pools[${index}].` })) ??
    (lrm ? [{ name: defaultPoolName, lrm, ...(policy ? { policy } : {}), where: '' }] : []);
  const known = networks.map(({ name }) => name);
  return entries.map(({ name, lrm: written, policy: chosen, networks: reached, where }, index) => {
    if (entries.findIndex(other => other.name === name) !== index)
      mistake(`${where}name`, `${name} is the name of another pool too`);
    for (const network of reached ?? [])
      if (!known.includes(network))
        mistake(
          `${where}networks`,
          `${network} is none of the networks (${known.join(', ') || 'there are none'})`,
        );
    if (hasOwnNodes(written) && entries.slice(0, index).some(({ lrm }) => hasOwnNodes(lrm)))
      mistake(
        `${where}lrm.namespaces`,
        'must be none: the nodes of one local pool only can have network namespaces, as the service listens in one network of theirs',
      );
    const chosenLrm = lrmOf(written, `${where}lrm`, at, mistake);
    for (const wrong of optionMistakes(written.kind, chosenLrm.gang.options))
      mistake(`${where}lrm.options[${wrong.index}]`, wrong.message);
    return {
      name,
      at: `${where}lrm`,
      ...chosenLrm,
      policy: policyOf(chosen, `${where}policy`, mistake),
      reaches: reached ?? null,
    };
  });
}

/** Whether its nodes may be network namespaces that the embedded LRM makes. */
function hasOwnNodes(lrm: PoolEntry['lrm']): boolean {
  return lrm.kind === 'local' && lrm.namespaces !== 'none';
}

function lrmOf(
  lrm: PoolEntry['lrm'],
  where: string,
  at: (path: string) => string,
  mistake: Mistake,
): Pick<PoolConfig, 'lrm' | 'gang'> {
  if (lrm.kind === 'slurm') {
    const { kind, queue, account, options = [], binDir, conf, node } = lrm;
    return {
      lrm: {
        kind,
        queue,
        options,
        binDir: binDir === undefined ? undefined : at(binDir),
        conf: conf === undefined ? undefined : at(conf),
        node: node === undefined ? undefined : word(node, at),
      },
      gang: { queue, account, options },
    };
  }
  if (lrm.kind === 'gridengine') return gridEngineOf(lrm, at);
  if (lrm.kind === 'pbs') return pbsOf(lrm, at);
  if (lrm.kind === 'static') {
    const { kind, joinSecretFile, lostAfter = '60s' } = lrm;
    const lostAfterMs = duration(lostAfter, `${where}.lostAfter`, mistake);
    return {
      lrm: { kind, joinSecretFile: at(joinSecretFile), lostAfterMs, killDelayMs: ownKillDelayMs },
      gang: { options: [] },
    };
  }
  const { kind, nodes, memoryPerNode, cpusPerNode = availableParallelism(), namespaces = 'auto' } = lrm;
  const memoryMiBPerNode =
    memoryPerNode === undefined
      ? Math.floor(totalmem() / 2 ** 20 / nodes)
      : memory(memoryPerNode, `${where}.memoryPerNode`, mistake);
  return {
    lrm: { kind, nodes, memoryMiBPerNode, cpusPerNode, namespaces, killDelayMs: ownKillDelayMs },
    gang: { options: [] },
  };
}

function gridEngineOf(
  lrm: Extract<PoolEntry['lrm'], { kind: 'gridengine' }>,
  at: (path: string) => string,
): Pick<PoolConfig, 'lrm' | 'gang'> {
  const { account, options = [], binDir, root, programDir, memoryResource = 'mem_free', node, ...rest } = lrm;
  const path = (given: string | undefined): string | undefined =>
    given === undefined ? undefined : at(given);
  return {
    lrm: {
      ...rest,
      binDir: path(binDir),
      root: path(root),
      programDir: path(programDir),
      memoryResource,
      node: node === undefined ? undefined : word(node, at),
    },
    gang: { queue: lrm.queue, account, options },
  };
}

function pbsOf(
  lrm: Extract<PoolEntry['lrm'], { kind: 'pbs' }>,
  at: (path: string) => string,
): Pick<PoolConfig, 'lrm' | 'gang'> {
  const { account, options = [], binDir, programDir, node, ...rest } = lrm;
  return {
    lrm: {
      ...rest,
      binDir: binDir === undefined ? undefined : at(binDir),
      programDir: programDir === undefined ? undefined : at(programDir),
      node: node === undefined ? undefined : word(node, at),
    },
    gang: { queue: lrm.queue, account, options },
  };
}

function policyOf(given: PoolEntry['policy'], where: string, mistake: Mistake): Policy {
  switch (given?.kind) {
    case undefined:
    case 'exact':
      return { kind: 'exact' };
    case 'pack':
      return { kind: 'pack', vmsPerNode: given.vmsPerNode ?? 64 };
    case 'extendable':
      return { kind: 'extendable', factor: given.factor ?? 1.5 };
    case 'reuse': {
      const { keep = '10m', factor = 2, vmsPerNode = 1, shared = false } = given;
      return { kind: 'reuse', keepMs: duration(keep, `${where}.keep`, mistake), factor, vmsPerNode, shared };
    }
    case 'warm': {
      const { slots = 1, nodes = 1, cpusPerNode = 1, vmsPerNode = 1, shared = false } = given;
      const memoryMiBPerNode = memory(given.memoryPerNode, `${where}.memoryPerNode`, mistake);
      const durationMs = duration(given.duration ?? '4h', `${where}.duration`, mistake);
      return {
        kind: 'warm',
        slots,
        nodes,
        memoryMiBPerNode,
        cpusPerNode,
        durationMs,
        vmsPerNode,
        shared,
      };
    }
  }
}
