import { join } from 'node:path';
import { startHelper } from '../../src/control/helper/client.ts';
import type { Helper } from '../../src/control/helper/helper.ts';
import { makeNodes, type NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import type { PolicyNetwork } from '../../src/protocol/helper-policy.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';
import { makePlace, noteNodes, removePlace, removeStale } from './temp-dirs.ts';
import { helperDirs, root } from './site.ts';

/** Nodes without a scheduler or a service: what the helper does to one, looked at from outside. */
export interface BareNodes {
  readonly directory: string;
  readonly stateDir: string;
  readonly networks: NodeNetworks;
  /** What starts the helper on a node, to which `--node` and `--slot` are added. */
  helperArgv(index: number): readonly [string, ...string[]];
  /** `argv`: what starts it, when not `helperArgv`. */
  helper(index: number, slotId: string, argv?: readonly string[]): Promise<Helper>;
  /** Runs a program in a node's network namespace; never rejects because of an exit code. */
  run(index: number, ...argv: readonly string[]): Promise<CommandResult>;
  killAll(index: number, ...args: readonly string[]): Promise<CommandResult>;
  /** Everything of a node that a helper might change, as text. */
  snapshot(index: number): Promise<string>;
  stop(): Promise<void>;
}

/**
 * One node whose kernel is sure of its own IPv6 addresses, which takes it a second: nothing of it
 * changes by itself any more.
 */
export async function quietNodes(): Promise<BareNodes> {
  const nodes = await startBareNodes(1);
  const endMs = systemClock.monotonicMs() + 10_000;
  while ((await nodes.snapshot(0)).includes('tentative')) {
    if (systemClock.monotonicMs() > endMs) throw new Error('the node is not quiet within 10 s');
    await pause(systemClock, 100);
  }
  return nodes;
}

/**
 * What starts the helper of an ordinary user on the first node, as sudo would: under root's policy
 * in that file.
 */
export function helperAs({ helperArgv }: BareNodes, uid: number, policyFile: string): readonly string[] {
  const [enter, where = '', ...program] = helperArgv(0);
  return [enter, where, 'env', `SUDO_UID=${uid}`, `SUDO_GID=${uid}`, ...program, '--policy', policyFile];
}

let serial = 0;

/** Starts `count` nodes. Needs root. */
export async function startBareNodes(count: number): Promise<BareNodes> {
  await removeStale();
  const directory = makePlace('wsp-site-');
  serial += 1;
  const tag = `h${(process.pid % 46_656).toString(36)}${serial}`.slice(0, 5);
  noteNodes(directory, tag);
  const networks = await makeNodes(tag, count);
  const stateDir = join(directory, 'helper');
  const node = (index: number) => {
    const found = networks.nodes[index];
    if (!found) throw new Error(`there is no node ${index}`);
    return found;
  };
  const inside = (index: number): readonly [string, ...string[]] => [
    'nsenter',
    `--net=/run/netns/${node(index).netns}`,
  ];
  const program = [process.execPath, `${root}/dist/node-tools.cjs`];
  const run: BareNodes['run'] = (index, ...argv) =>
    systemProcesses.run([...inside(index), ...argv], { deadlineMs: 30_000 });
  const helperArgv: BareNodes['helperArgv'] = index => [
    ...inside(index),
    ...program,
    'helper',
    ...helperDirs(stateDir),
  ];
  return {
    directory,
    stateDir,
    networks,
    helperArgv,
    helper: (index, slotId, argv = helperArgv(index)) =>
      startHelper({
        argv,
        node: node(index).name,
        slotId,
        clock: systemClock,
        log: silentLog,
      }),
    run,
    killAll: (index, ...args) =>
      run(index, ...program, 'kill-all', ...helperDirs(stateDir), '--node', node(index).name, ...args),
    snapshot: index => snapshotOf(node(index).netns, (...argv) => run(index, ...argv)),
    async stop() {
      await networks.remove();
      await removePlace(directory);
    },
  };
}

async function snapshotOf(
  netns: string,
  run: (...argv: string[]) => Promise<CommandResult>,
): Promise<string> {
  const looks = [
    ['ip', '-details', 'address'],
    ['ip', 'route', 'show', 'table', 'all'],
    ['bridge', 'fdb'],
    ['nft', 'list', 'ruleset'],
  ];
  const texts = await Promise.all(looks.map(async look => (await run(...look)).stdout));
  // From outside, or the one who looks would be among them.
  const pids = await systemProcesses.run(['ip', 'netns', 'pids', netns], { deadlineMs: 10_000 });
  return [...texts, pids.stdout]
    .join('\n---\n')
    .replace(/valid_lft.*|\b(gc|hello|tcn|topology_change)_timer +[\d.]+/g, '');
}

/** The interface of one VM on a private network that reaches no other node. `last`: the last octet of its address. */
export function nicPlan(last: number, more: Partial<NicPlan> = {}): NicPlan {
  const hex = last.toString(16).padStart(2, '0');
  return {
    network: 'private',
    mac: `02:00:00:00:00:${hex}`,
    address: `10.91.0.${last}`,
    prefixLength: 24,
    dns: [],
    tap: `wttest${last}`,
    bridge: { name: 'wbtest', link: { kind: 'isolated' }, serviceAddress: '169.254.77.1', mtu: 1_500 },
    ...more,
  };
}

/** What the interfaces of `nicPlan` need of root's policy. */
export const nicPolicy: PolicyNetwork = {
  name: 'private',
  subnet: '10.91.0.0/24',
  first: '10.91.0.1',
  last: '10.91.0.200',
  dns: [],
  serviceAddress: '169.254.77.1',
  link: { kind: 'isolated' },
};
