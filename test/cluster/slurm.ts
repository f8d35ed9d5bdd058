import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import { makeHostView } from './host-view.ts';
import { makeServiceAccount, type ServiceAccount } from './service-account.ts';
import { type SlurmAdministrator, slurmAdministrator } from './slurm-administrator.ts';
import { fillAccounting, type SlurmAccounting, startAccounting } from './slurm-accounting.ts';
import { siteTerms, slurmConfiguration, type SlurmOptions } from './slurm-conf.ts';
import { must, startController, startMunge, until } from './slurm-daemons.ts';
import { writeNodeScripts } from './slurm-scripts.ts';
import { cgroupConfiguration } from './tracking.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/temp-dirs.ts';
import {
  makeNodes,
  type NamespaceNode,
  type NodeNetworks,
  plugNode,
} from '../../src/lrm/local/namespaces.ts';

/** A private, real Slurm on this machine: slurmctld, one slurmd per network namespace, a munged of its own. */
export interface SlurmCluster extends BatchCluster, SlurmAdministrator {
  readonly account: ServiceAccount;
  /** The Node program that everybody there can run. */
  readonly node: string;
  /** Value of SLURM_CONF for every Slurm command. */
  readonly conf: string;
  /** Of one that was started with `accounting`. */
  accounting(): SlurmAccounting;
  /** Tears a node away: its cables first, so that nobody hears its processes end. */
  powerOff(index: number): Promise<void>;
  /** The node after its boot: nothing of before is in its memory, and Slurm has it again. */
  powerOn(index: number): Promise<void>;
}

/** Starts a cluster and waits until all nodes are idle. Needs root and Debian's slurmctld, slurmd, slurm-client, munge. */
export async function startSlurm(options: SlurmOptions): Promise<SlurmCluster> {
  await removeStale();
  const directory = makePlace('wsp-slurm-');
  try {
    return await startIn(directory, options);
  } catch (cause) {
    await removePlace(directory);
    throw cause;
  }
}

async function startIn(directory: string, options: SlurmOptions): Promise<SlurmCluster> {
  // munged and slurmd want to be sure that nobody else can change what is above their files.
  chmodSync(directory, 0o755);
  for (const name of ['state', 'spool', 'log', 'run', 'munge']) mkdirSync(join(directory, name));
  const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
  noteNodes(directory, tag);
  const networks = await makeNodes(tag, options.nodes);
  const view = await makeHostView(directory);
  const conf = join(directory, 'slurm.conf');
  const run = (argv: readonly string[], input?: string): Promise<CommandResult> =>
    systemProcesses.run(view.inside(argv), {
      deadlineMs: 60_000,
      env: { ...process.env, SLURM_CONF: conf },
      input,
    });
  const account = await makeServiceAccount(view, directory);
  await startMunge(directory);
  const { headAddress } = networks;
  const accountingPort = await configure(directory, tag, networks, options);
  if (options.accounting) await startAccounting(directory, { headAddress, port: accountingPort }, run);
  await startController(directory, run);
  // nsenter, not `ip netns exec`: that remounts /sys, and slurmd then misses the cgroups.
  const startNode = ({ netns, name }: NamespaceNode): Promise<void> =>
    must(run, ['nsenter', `--net=/run/netns/${netns}`, 'slurmd', '-N', name, '-f', conf]);
  for (const node of networks.nodes) {
    mkdirSync(join(directory, 'spool', node.name));
    await startNode(node);
  }
  const untilIdle = (): Promise<void> => nothingRuns(run, options.nodes);
  await untilIdle();
  const accounting = options.accounting ? await fillAccounting(run) : undefined;
  return {
    directory,
    conf,
    node: view.node,
    account,
    headAddress,
    vmLan: networks.vmLan,
    nodes: networks.nodes,
    run,
    lrmSection: more => ({
      ...{ kind: 'slurm', conf, node: view.node },
      ...{ ...siteTerms, options: [...siteTerms.options, ...more] },
    }),
    jobs: () => linesOf(run, ['squeue', '-h', '-o', '%i %j %T']),
    endJob: async jobId => void (await linesOf(run, ['scancel', jobId])),
    untilIdle,
    stop: () => removePlace(directory),
    accounting: () => accounting ?? missing('accounting'),
    ...slurmAdministrator(directory, view, run),
    powerOff: index => cutPower(tag, index, at(networks.nodes, index)),
    powerOn: async index => {
      const node = at(networks.nodes, index);
      await plugNode(tag, node, index);
      await startNode(node);
    },
  };
}

/** All nodes are idle; and a node can be so before its last job has left the list. */
async function nothingRuns(run: BatchCluster['run'], nodes: number): Promise<void> {
  const idle = ['sinfo', '-h', '-t', 'idle', '-p', 'batch', '-o', '%D'] as const;
  const completing = ['squeue', '-h', '-t', 'CG', '-o', '%i'] as const;
  await until(run, idle, ({ stdout }) => stdout.trim() === String(nodes));
  await until(run, completing, ({ code, stdout }) => code === 0 && stdout.trim() === '');
}

/** Writes all of its configuration. Returns the port of its accounting. */
async function configure(
  directory: string,
  tag: string,
  networks: NodeNetworks,
  options: SlurmOptions,
): Promise<number> {
  const port = await freePort(networks.headAddress);
  const accountingPort = await freePort(networks.headAddress);
  const configuration = slurmConfiguration({ directory, tag, networks, options, port, accountingPort });
  writeFileSync(join(directory, 'slurm.conf'), configuration);
  writeFileSync(join(directory, 'cgroup.conf'), cgroupConfiguration(options));
  writeNodeScripts(directory, options);
  return accountingPort;
}

function missing(what: string): never {
  throw new Error(`this Slurm was started without ${what}`);
}

async function cutPower(tag: string, index: number, node: NamespaceNode): Promise<void> {
  const ip = (...args: string[]): Promise<CommandResult> =>
    systemProcesses.run(['ip', ...args], { deadlineMs: 30_000 });
  for (const bridge of ['s', 'v']) await ip('link', 'del', `ws${tag}${bridge}${index}`);
  const pids = (await ip('netns', 'pids', node.netns)).stdout.split('\n').filter(pid => pid !== '');
  if (pids.length > 0) await systemProcesses.run(['kill', '-KILL', ...pids], { deadlineMs: 10_000 });
  await ip('netns', 'del', node.netns);
}

function at(nodes: readonly NamespaceNode[], index: number): NamespaceNode {
  const node = nodes[index];
  if (!node) throw new RangeError(`there is no node ${index}`);
  return node;
}

/** A TCP port that nobody listens on at that address just now. */
export function freePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      server.close(() =>
        bound !== null && typeof bound === 'object' ? resolve(bound.port) : reject(new Error('no port')),
      );
    });
  });
}
