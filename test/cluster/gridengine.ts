import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeNodes, type NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/places.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import { freePort } from './slurm.ts';

/** A private, real Grid Engine on this machine: sge_qmaster, one sge_execd per network namespace. */
export interface GridEngineCluster extends BatchCluster {
  /** Environment of every Grid Engine command: SGE_ROOT, SGE_CELL, ports. */
  readonly env: Readonly<Record<string, string>>;
}

export interface GridEngineOptions {
  readonly nodes: number;
  /** From the warning signal to SIGKILL (queue_conf(5), notify). Default 10. */
  readonly notifySeconds?: number;
  readonly memoryMiBPerNode?: number;
}

const startDeadlineMs = 60_000;
const cell = 'default';
const packageRoot = '/var/lib/gridengine';
const tools = '/usr/lib/gridengine';

/** Starts a cluster and waits until all nodes answer. Needs root and Debian's gridengine-master, -exec, -client. */
export async function startGridEngine(options: GridEngineOptions): Promise<GridEngineCluster> {
  await removeStale();
  const directory = makePlace('wsp-ge-');
  // Users' commands read it.
  chmodSync(directory, 0o755);
  const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
  noteNodes(directory, tag);
  const networks = await makeNodes(tag, options.nodes);
  const master = await freePort(networks.headAddress);
  const env = {
    SGE_ROOT: join(directory, 'root'),
    SGE_CELL: cell,
    SGE_QMASTER_PORT: String(master),
    SGE_EXECD_PORT: String(await freePort(networks.headAddress)),
  };
  const run = (argv: readonly [string, ...string[]], input?: string): Promise<CommandResult> =>
    systemProcesses.run(argv, { deadlineMs: 60_000, env: { ...process.env, ...env }, input });
  const cluster: GridEngineCluster = {
    directory,
    env,
    headAddress: networks.headAddress,
    vmLan: networks.vmLan,
    nodes: networks.nodes,
    run,
    lrmSection: more => ({ kind: 'gridengine', ...gridEngineSettings(cluster), options: more }),
    jobs: async () => (await linesOf(run, ['qstat', '-u', '*'])).slice(2),
    endJob: async jobId => void (await linesOf(run, ['qdel', jobId])),
    untilIdle: () => until(run, ['qstat', '-u', '*'], ({ stdout }) => stdout.trim() === ''),
    stop: () => removePlace(directory),
  };
  try {
    await initialise(directory, networks, cluster);
    await startMaster(directory, cluster);
    await configure(directory, options, cluster);
    for (const node of networks.nodes) await startNode(directory, node, cluster);
    const up = ({ stdout }: CommandResult): boolean =>
      !/\s-\s+-\s+-\s*$/m.test(stdout.split('\n').slice(3).join('\n'));
    await until(run, ['qhost'], up);
    return cluster;
  } catch (cause) {
    await cluster.stop();
    throw cause;
  }
}

/** What Debian's package would do for a cell of its own: directories, bootstrap file, the spool with its defaults. */
async function initialise(
  directory: string,
  networks: NodeNetworks,
  { run }: GridEngineCluster,
): Promise<void> {
  const root = join(directory, 'root');
  const common = join(root, cell, 'common');
  const spool = join(directory, 'spool');
  for (const path of [common, join(spool, 'qmaster/job_scripts'), join(spool, 'execd')])
    mkdirSync(path, { recursive: true });
  for (const name of ['util', 'bin', 'lib', 'utilbin'])
    symlinkSync(join(packageRoot, name), join(root, name));
  const head = hostname();
  const hosts = [
    `127.0.0.1 localhost`,
    `${networks.headAddress} ${head}`,
    ...networks.nodes.map(({ name, address }) => `${address} ${name}`),
  ];
  writeFileSync(join(directory, 'hosts'), `${hosts.join('\n')}\n`);
  writeFileSync(join(common, 'act_qmaster'), `${head}\n`);
  // Commands on this host may come from the loopback.
  writeFileSync(join(common, 'host_aliases'), `${head} localhost\n`);
  writeFileSync(join(common, 'cluster_name'), 'site\n');
  const bootstrap = bootstrapOf(common, spool);
  writeFileSync(
    join(common, 'bootstrap'),
    Object.entries(bootstrap)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  writeConfiguration(directory, spool);
  const init = (...args: string[]) => must(run, onHost(directory, hostname(), args));
  await init(join(tools, 'spoolinit'), 'classic', 'libspoolc', bootstrap.spooling_params, 'init');
  await init(join(tools, 'spooldefaults'), 'configuration', join(directory, 'configuration'));
  for (const [what, from] of [
    ['complexes', '/usr/share/gridengine/util/resources/centry'],
    ['usersets', '/usr/share/gridengine/util/resources/usersets'],
  ] as const)
    await init(join(tools, 'spooldefaults'), what, from);
  await init(join(tools, 'spooldefaults'), 'managers', 'root');
}

/** bootstrap(5). */
function bootstrapOf(common: string, spool: string) {
  return {
    // Root: else each daemon changes its user, and signals its own threads of it, at every line that it traces, for all nodes on the same few processors.
    admin_user: 'none',
    default_domain: 'none',
    ignore_fqdn: 'true',
    spooling_method: 'classic',
    spooling_lib: 'libspoolc',
    spooling_params: `${common};${join(spool, 'qmaster')}`,
    binary_path: '/usr/sbin',
    qmaster_spool_dir: join(spool, 'qmaster'),
    security_mode: 'none',
    listener_threads: '2',
    worker_threads: '2',
    scheduler_threads: '1',
    jvm_threads: '0',
  };
}

/** sge_conf(5), from Debian's own. */
function writeConfiguration(directory: string, spool: string): void {
  const changed: Readonly<Record<string, string>> = {
    execd_spool_dir: join(spool, 'execd'),
    load_report_time: '00:00:02',
    gid_range: '65400-65500',
    mailer: '/bin/true',
    min_uid: '0',
    min_gid: '0',
    reschedule_unknown: '00:00:00',
    // How a job ended is written at once.
    reporting_params:
      'accounting=true reporting=false flush_time=00:00:15 joblog=false sharelog=00:00:00 accounting_flush_time=00:00:00',
  };
  const configuration = readFileSync('/usr/share/gridengine/default-configuration', 'utf8')
    .split('\n')
    .map(line => {
      const key = line.split(/\s/)[0] ?? '';
      return changed[key] === undefined ? line : `${key} ${changed[key]}`;
    })
    .join('\n');
  writeFileSync(join(directory, 'configuration'), configuration);
}

async function startMaster(directory: string, { env, run }: GridEngineCluster): Promise<void> {
  await daemon(directory, env, onHost(directory, hostname(), ['/usr/sbin/sge_qmaster']));
  await until(run, ['qconf', '-sconf'], ({ code }) => code === 0);
}

async function startNode(
  directory: string,
  node: NodeNetworks['nodes'][number],
  { env }: GridEngineCluster,
): Promise<void> {
  const argv = onHost(directory, node.name, ['/usr/sbin/sge_execd']);
  // A process table of its own, as nodes have: at each signal Grid Engine looks through all of it for the job's processes.
  const alone = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  await daemon(directory, env, ['nsenter', `--net=/run/netns/${node.netns}`, ...alone, ...argv]);
}

/** Grid Engine knows hosts by their names alone: each has a name of its own, and a hosts file with the others'. */
function onHost(directory: string, name: string, argv: readonly string[]): [string, ...string[]] {
  const script = 'mount --bind "$0" /etc/hosts; hostname "$1"; shift; exec "$@"';
  // At each start of a job its daemons close all files that there could be, one by one: some sites' machines allow a million.
  return [
    'prlimit',
    '--nofile=4096',
    'unshare',
    '--mount',
    '--uts',
    'sh',
    '-c',
    script,
    join(directory, 'hosts'),
    name,
    ...argv,
  ];
}

async function daemon(
  directory: string,
  env: GridEngineCluster['env'],
  argv: readonly [string, ...string[]],
): Promise<void> {
  const child = await startChild(argv, {
    env: { PATH: process.env['PATH'], ...env, SGE_ND: '1' },
    detached: true,
    cwd: directory,
  });
  child.unref();
}

async function configure(
  directory: string,
  options: GridEngineOptions,
  { run, nodes }: GridEngineCluster,
): Promise<void> {
  const file = (name: string, lines: Readonly<Record<string, string>>): string => {
    const path = join(directory, name);
    writeFileSync(
      path,
      Object.entries(lines)
        .map(([key, value]) => `${key} ${value}\n`)
        .join(''),
    );
    return path;
  };
  // No two clusters at once may share a group: the end of a job is the end of all processes that have its group.
  const firstGroup = 100_000 + systemRandom.bytes(2).reduce((high, low) => high * 256 + low, 0) * 1_000;
  // It looks nodes up by name.
  const qconf = (...args: string[]) => must(run, onHost(directory, hostname(), ['qconf', ...args]));
  await qconf('-as', hostname());
  for (const [index, { name }] of nodes.entries()) {
    await qconf('-ah', name);
    const none = [
      'load_scaling',
      'user_lists',
      'xuser_lists',
      'projects',
      'xprojects',
      'usage_scaling',
      'report_variables',
    ];
    const memory = `mem_free=${options.memoryMiBPerNode ?? 1_400}M,slots=2`;
    await qconf(
      '-Ae',
      file(name, {
        hostname: name,
        ...Object.fromEntries(none.map(key => [key, 'NONE'])),
        complex_values: memory,
      }),
    );
    // Groups by which a node knows its jobs' processes; the nodes share one process table here.
    const first = firstGroup + index * 50;
    mkdirSync(join(directory, 'local'), { recursive: true });
    const path = join(directory, 'local', name);
    writeFileSync(path, `gid_range ${first}-${first + 49}\n`);
    await qconf('-Aconf', path);
  }
  await qconf(
    '-Ahgrp',
    file('hosts-group', { group_name: '@allhosts', hostlist: nodes.map(({ name }) => name).join(' ') }),
  );
  await hurry(directory, run, qconf);
  for (const { name } of nodes) {
    const path = join(directory, 'tmp', name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o1777);
  }
  for (const slots of [1, 2]) await qconf('-Ap', file(`pe-${slots}`, parallelEnvironment(slots)));
  await qconf('-Aq', file('queue', queue(options.notifySeconds ?? 10, directory, nodes)));
}

/** A scheduler that looks every second, and memory that is counted. */
async function hurry(
  directory: string,
  run: BatchCluster['run'],
  qconf: (...args: string[]) => Promise<string>,
): Promise<void> {
  const scheduler = await must(run, ['qconf', '-ssconf']);
  const faster: Readonly<Record<string, string>> = {
    schedule_interval: '0:0:1',
    flush_submit_sec: '1',
    flush_finish_sec: '1',
    schedd_job_info: 'true',
  };
  const written = scheduler
    .split('\n')
    .map(line => {
      const key = line.split(/\s/)[0] ?? '';
      return faster[key] === undefined ? line : `${key} ${faster[key]}`;
    })
    .join('\n');
  writeFileSync(join(directory, 'scheduler'), written);
  await qconf('-Msconf', join(directory, 'scheduler'));
  const environment = await must(run, ['qconf', '-sc']);
  // Memory that is counted: what a job asks for is taken from its node's. (h_vmem would limit addresses, of which Node.js reserves many.)
  const counted = environment.replace(/^(mem_free\s+\S+\s+\S+\s+\S+\s+\S+\s+)NO(\s+)0/m, '$1YES$20');
  writeFileSync(join(directory, 'complexes'), counted);
  await qconf('-Mc', join(directory, 'complexes'));
}

/** sge_pe(5): so many slots on each of n nodes, and their execds let the job start something there. */
const parallelEnvironment = (slots: number): Record<string, string> => ({
  pe_name: `wsp${slots}`,
  slots: '999',
  user_lists: 'NONE',
  xuser_lists: 'NONE',
  start_proc_args: 'NONE',
  stop_proc_args: 'NONE',
  allocation_rule: String(slots),
  control_slaves: 'TRUE',
  job_is_first_task: 'FALSE',
  urgency_slots: 'min',
  accounting_summary: 'FALSE',
  qsort_args: 'NONE',
});

function queue(
  notifySeconds: number,
  directory: string,
  nodes: GridEngineCluster['nodes'],
): Record<string, string> {
  const none =
    'load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar';
  const unlimited = ['rt', 'cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'vmem'].flatMap(limit => [
    `s_${limit}`,
    `h_${limit}`,
  ]);
  return {
    qname: 'all.q',
    hostlist: '@allhosts',
    seq_no: '0',
    nsuspend: '1',
    suspend_interval: '00:05:00',
    priority: '0',
    min_cpu_interval: '00:05:00',
    processors: 'UNDEFINED',
    qtype: 'BATCH INTERACTIVE',
    pe_list: 'wsp1 wsp2',
    rerun: 'FALSE',
    slots: '2',
    // The nodes share this machine's /tmp: each has its own part.
    tmpdir: ['/tmp', ...nodes.map(({ name }) => `[${name}=${join(directory, 'tmp', name)}]`)].join(','),
    shell: '/bin/sh',
    shell_start_mode: 'unix_behavior',
    notify: `00:00:${String(notifySeconds).padStart(2, '0')}`,
    initial_state: 'default',
    ...Object.fromEntries(none.split(' ').map(key => [key, 'NONE'])),
    ...Object.fromEntries(unlimited.map(key => [key, 'INFINITY'])),
  };
}

/** Grid Engine has no event for any of this; it is asked again until the answer is right or the deadline is over. */
async function until(
  run: GridEngineCluster['run'],
  argv: readonly [string, ...string[]],
  isRight: (result: CommandResult) => boolean,
): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + startDeadlineMs;
  for (;;) {
    const result = await run(argv);
    if (isRight(result)) return;
    if (systemClock.monotonicMs() > deadlineMs)
      throw new Error(
        `${argv.join(' ')} still says after ${startDeadlineMs} ms: ${result.stdout}${result.stderr}`,
      );
    await pause(systemClock, 100);
  }
}

async function must(
  run: (argv: readonly [string, ...string[]]) => Promise<CommandResult>,
  argv: readonly [string, ...string[]],
): Promise<string> {
  const result = await run(argv);
  if (result.code !== 0)
    throw new Error(`${argv.join(' ')}: exit ${result.code}: ${result.stdout}${result.stderr}`.trim());
  return result.stdout;
}

/** The adapter's settings for a cluster. */
export function gridEngineSettings({ directory, env }: GridEngineCluster) {
  return {
    root: env['SGE_ROOT'] ?? '',
    cell,
    qmasterPort: Number(env['SGE_QMASTER_PORT']),
    execdPort: Number(env['SGE_EXECD_PORT']),
    parallelEnvironments: ['wsp1', 'wsp2'],
    memoryResource: 'mem_free',
    programDir: join(directory, 'programs'),
    node: process.execPath,
  };
}
