import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeNodes } from '../../src/lrm/local/namespaces.ts';
import type { PbsSettings } from '../../src/lrm/pbs/section.ts';
import { startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/temp-dirs.ts';
import type { BatchCluster } from './cluster.ts';
import type { ShimConfig } from './pbs/model.ts';

/**
 * No real PBS: Debian has none. A daemon with the queue, real processes on nodes that are network namespaces, and programs of the same names that answer in the form of recorded
 * answers of real servers (src/lrm/pbs/fixtures) and with their exit codes; signals go where PBS's moms and pbsdsh send them.
 */
export interface PbsCluster extends BatchCluster {
  /** The directory of its programs. */
  readonly binDir: string;
  readonly dialect: ShimConfig['dialect'];
  readonly settings: PbsSettings;
  /** What its scheduler and machines do to a job, or to the server. */
  administer(what: 'stop-server' | 'start-server'): Promise<void>;
  administer(
    what: 'preempt-by-suspension' | 'resume' | 'preempt-by-deletion' | 'restart-mom',
    jobId: string,
  ): Promise<void>;
  administer(what: 'limit-jobs', most: string): Promise<void>;
  /** Submits a job of `ann`, held; resolves with its id. */
  foreignJob(jobName: string): Promise<string>;
}

export interface PbsOptions {
  readonly dialect: ShimConfig['dialect'];
  readonly nodes: number;
  /** Default 10. */
  readonly killDelaySeconds?: number;
  /** Of each node; every second one has twice as much (default: 1400). */
  readonly memoryMiBPerNode?: number;
  /** What a node does before a job begins (default: 1). */
  readonly prologSeconds?: number;
  /** Whether the tests' user may do what operators may. Default true. */
  readonly operators?: boolean;
}

const startDeadlineMs = 30_000;
const programs = [
  'qsub',
  'qstat',
  'qdel',
  'qalter',
  'qrls',
  'qhold',
  'qsig',
  'qrerun',
  'pbsnodes',
  'pbsdsh',
  'administer',
];

/** Starts a cluster and waits until it answers. Needs root. */
export async function startPbs(options: PbsOptions): Promise<PbsCluster> {
  await removeStale();
  const directory = makePlace('wsp-pbs-');
  const binDir = join(directory, 'bin');
  const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
  noteNodes(directory, tag);
  const networks = await makeNodes(tag, options.nodes);
  const run = (argv: readonly [string, ...string[]], input?: string): Promise<CommandResult> =>
    systemProcesses.run(argv, {
      deadlineMs: 60_000,
      env: { ...process.env, PATH: `${binDir}:${process.env['PATH']}` },
      input,
    });
  const project = options.dialect === 'openpbs' ? ['-P', 'lab'] : [];
  const settings: PbsSettings = {
    dialect: options.dialect,
    binDir,
    queue: 'vms',
    programDir: join(directory, 'programs'),
    node: process.execPath,
  };
  const cluster: PbsCluster = {
    directory,
    binDir,
    dialect: options.dialect,
    settings,
    headAddress: networks.headAddress,
    vmLan: networks.vmLan,
    nodes: networks.nodes,
    run,
    lrmSection: more => ({ kind: 'pbs', ...settings, account: 'physics', options: [...project, ...more] }),
    jobs: () => jobsOf(cluster),
    endJob: async jobId => void (await must(run(['qdel', jobId]))),
    administer: async (what, argument?: string) =>
      void (await must(run(['administer', what, ...(argument === undefined ? [] : [argument])]))),
    foreignJob: async jobName =>
      (await must(run(['env', 'USER=ann', 'qsub', '-h', '-N', jobName], 'sleep 600\n'))).trim(),
    untilIdle: () => until(async () => (await jobsOf(cluster)).length === 0),
    stop: () => removePlace(directory),
  };
  try {
    const config: ShimConfig = {
      dialect: options.dialect,
      directory,
      socket: join(directory, 'socket'),
      nodes: networks.nodes.map(({ name, netns }, index) => ({ name, netns, ...sizeOf(index, options) })),
      prologSeconds: options.prologSeconds ?? 1,
      killDelaySeconds: options.killDelaySeconds ?? 10,
      operators: options.operators ?? true,
    };
    writePrograms(binDir, config.socket);
    await startDaemon(directory, config);
    await until(async () => (await run(['qstat', '-B', '-f'])).code === 0);
    return cluster;
  } catch (cause) {
    await cluster.stop();
    throw cause;
  }
}

/** Sites have nodes of several sizes. */
function sizeOf(
  index: number,
  { memoryMiBPerNode = 1_400 }: PbsOptions,
): { cpus: number; memoryMiB: number } {
  return index % 2 === 0
    ? { cpus: 2, memoryMiB: memoryMiBPerNode }
    : { cpus: 2, memoryMiB: 2 * memoryMiBPerNode };
}

function writePrograms(binDir: string, socket: string): void {
  mkdirSync(binDir);
  const client = new URL('pbs/client.mjs', import.meta.url).pathname;
  for (const name of programs) {
    const path = join(binDir, name);
    writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${client}' '${socket}' ${name} "$@"\n`);
    chmodSync(path, 0o755);
  }
}

async function startDaemon(directory: string, config: ShimConfig): Promise<void> {
  const path = join(directory, 'config.json');
  writeFileSync(path, JSON.stringify(config));
  const daemon = new URL('pbs/daemon.ts', import.meta.url).pathname;
  const tsx = import.meta.resolve('tsx');
  const script = 'exec "$0" --import "$1" "$2" "$3" 2>>daemon.log';
  const child = await startChild(['sh', '-c', script, process.execPath, tsx, daemon, path], {
    detached: true,
    cwd: directory,
  });
  child.unref();
}

/** What has not ended. */
async function jobsOf({ run, dialect }: PbsCluster): Promise<readonly string[]> {
  if (dialect === 'openpbs') {
    const stdout = await must(run(['qstat', '-f', '-F', 'json']));
    return Object.keys((JSON.parse(stdout) as { readonly Jobs?: object }).Jobs ?? {});
  }
  const jobs = (await must(run(['qstat', '-x']))).matchAll(/<Job_Id>(.*?)<\/Job_Id>.*?<job_state>(.)/g);
  return [...jobs].filter(([, , letter]) => letter !== 'C').map(([, id = '']) => id);
}

/** There is no event for this; it is asked again until it is so or the deadline is over. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + startDeadlineMs;
  while (!(await isSo())) {
    if (systemClock.monotonicMs() > deadlineMs)
      throw new Error(`the PBS of the tests is not ready after ${startDeadlineMs} ms`);
    await pause(systemClock, 50);
  }
}

async function must(running: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await running;
  if (code !== 0) throw new Error(`exit ${code}: ${stdout}${stderr}`.trim());
  return stdout;
}
