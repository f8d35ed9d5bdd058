import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeNodes, type NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/places.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import {
  type GridEngineAdministrator,
  gridEngineAdministrator,
  heldProlog,
} from './gridengine-administrator.ts';
import { type HostView, makeHostView } from './host-view.ts';
import { makeServiceAccount, type ServiceAccount } from './service-account.ts';
import { freePort } from './slurm.ts';

/** A private, real Grid Engine on this machine: sge_qmaster, one sge_execd per network namespace. */
export interface GridEngineCluster extends BatchCluster, GridEngineAdministrator {
  readonly account: ServiceAccount;
  /** Environment of every Grid Engine command: SGE_ROOT, SGE_CELL, ports. */
  readonly env: Readonly<Record<string, string>>;
}

export interface GridEngineOptions {
  readonly nodes: number;
  /** From the warning signal to SIGKILL (queue_conf(5), notify). Default 10. */
  readonly notifySeconds?: number;
  /** What the nodes have, in turn. Default: two sizes. */
  readonly memoryMiB?: readonly number[];
  /** How long the prolog of each job takes. Default 2. */
  readonly prologSeconds?: number;
  /** After so long a node that is silent counts as lost. Default 300, as Grid Engine's own. */
  readonly maxUnheardSeconds?: number;
}

/** The site file's `lrm`, as a site has to fill it in here: its queue is not the only one, and jobs without a project or the nodes' feature do not get there. */
export const gridEngineTerms = {
  queue: 'vms.q',
  account: 'physics',
  options: ['-l', 'kvm=1', '-p', '-10'],
} as const;

const startDeadlineMs = 60_000;
const cell = 'default';
const packageRoot = '/var/lib/gridengine';
/** Grid Engine's own programs. Debian's of the same names ask about the machine for half a second before each. */
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
  const view = await makeHostView(directory);
  const master = await freePort(networks.headAddress);
  const env = {
    SGE_ROOT: join(directory, 'root'),
    SGE_CELL: cell,
    SGE_QMASTER_PORT: String(master),
    SGE_EXECD_PORT: String(await freePort(networks.headAddress)),
  };
  const run = (argv: readonly [string, ...string[]], input?: string): Promise<CommandResult> =>
    systemProcesses.run(view.inside(argv), {
      deadlineMs: 60_000,
      env: { ...process.env, ...env, PATH: `${tools}:${process.env['PATH'] ?? ''}` },
      input,
    });
  const place: Place = { directory, view, env, run };
  try {
    await initialise(place, networks, options);
    const qmaster = await startMaster(place);
    const qconf = (...what: string[]) => must(run, onHost(directory, hostname(), ['qconf', ...what]));
    const site: Site = { ...place, options, nodes: networks.nodes, qconf };
    await configure(site);
    const nodes: Child[] = [];
    for (const node of networks.nodes) nodes.push(await startNode(place, node));
    const up = ({ stdout }: CommandResult): boolean =>
      !/\s-\s+-\s+-\s*$/m.test(stdout.split('\n').slice(3).join('\n'));
    await until(run, ['qhost'], up);
    const account = await makeServiceAccount(view, directory);
    return {
      directory,
      env,
      account,
      headAddress: networks.headAddress,
      vmLan: networks.vmLan,
      nodes: networks.nodes,
      run,
      lrmSection: more => ({
        ...{ kind: 'gridengine', ...gridEngineSettings({ directory, env }) },
        // In the user's home, as it is by default.
        ...{ programDir: undefined, node: account.node, ...gridEngineTerms },
        options: [...gridEngineTerms.options, ...more],
      }),
      jobs: async () => (await linesOf(run, ['qstat', '-u', '*'])).slice(2),
      endJob: async jobId => void (await linesOf(run, ['qdel', jobId])),
      untilIdle: () => until(run, ['qstat', '-u', '*'], ({ stdout }) => stdout.trim() === ''),
      stop: () => removePlace(directory),
      ...gridEngineAdministrator(
        {
          directory,
          run,
          qconf,
          nodes,
          startMaster: () => startMaster(place),
          setMemory: how => setMemory(site, how),
        },
        qmaster,
      ),
    };
  } catch (cause) {
    await removePlace(directory);
    throw cause;
  }
}

/** Where it is, and how its commands are run. */
interface Place {
  readonly directory: string;
  readonly view: HostView;
  readonly env: GridEngineCluster['env'];
  readonly run: BatchCluster['run'];
}

interface Site extends Place {
  readonly options: GridEngineOptions;
  readonly nodes: GridEngineCluster['nodes'];
  qconf(...what: string[]): Promise<string>;
}

/** What Debian's package would do for a cell of its own: directories, bootstrap file, the spool with its defaults. */
async function initialise(
  { directory, run }: Place,
  networks: NodeNetworks,
  options: GridEngineOptions,
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
  writeConfiguration(directory, spool, options);
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
function writeConfiguration(
  directory: string,
  spool: string,
  { maxUnheardSeconds = 300 }: GridEngineOptions,
): void {
  const changed: Readonly<Record<string, string>> = {
    execd_spool_dir: join(spool, 'execd'),
    load_report_time: '00:00:02',
    max_unheard: clockTime(maxUnheardSeconds),
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

async function startMaster(place: Place): Promise<Child> {
  const { directory, run } = place;
  const child = await daemon(place, onHost(directory, hostname(), ['/usr/sbin/sge_qmaster']));
  await until(run, ['qconf', '-sconf'], ({ code }) => code === 0);
  return child;
}

async function startNode(place: Place, node: NodeNetworks['nodes'][number]): Promise<Child> {
  const argv = onHost(place.directory, node.name, ['/usr/sbin/sge_execd']);
  // A process table of its own, as nodes have: at each signal Grid Engine looks through all of it for the job's processes.
  const alone = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return daemon(place, ['nsenter', `--net=/run/netns/${node.netns}`, ...alone, ...argv]);
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

async function daemon({ directory, view, env }: Place, argv: readonly string[]): Promise<Child> {
  const child = await startChild(view.inside(argv), {
    env: { PATH: process.env['PATH'], ...env, SGE_ND: '1' },
    detached: true,
    cwd: directory,
  });
  child.unref();
  return child;
}

/** A file for qconf: keys and values. */
function fileOf(directory: string, name: string, lines: Readonly<Record<string, string>>): string {
  const path = join(directory, name);
  writeFileSync(
    path,
    Object.entries(lines)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  return path;
}

async function configure(site: Site): Promise<void> {
  const { directory, options, nodes, qconf } = site;
  const file = (name: string, lines: Readonly<Record<string, string>>) => fileOf(directory, name, lines);
  await hurry(site);
  // No two clusters at once may share a group: the end of a job is the end of all processes that have its group.
  const firstGroup = 100_000 + systemRandom.bytes(2).reduce((high, low) => high * 256 + low, 0) * 1_000;
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
    await qconf(
      '-Ae',
      file(name, {
        hostname: name,
        ...Object.fromEntries(none.map(key => [key, 'NONE'])),
        complex_values: `mem_free=${memoryOf(options, index)}M,slots=2,kvm=TRUE`,
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
  for (const { name } of nodes) {
    const path = join(directory, 'tmp', name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o1777);
  }
  for (const slots of [1, 2]) await qconf('-Ap', file(`pe-${slots}`, parallelEnvironment(slots)));
  const project = { name: 'physics', oticket: '0', fshare: '0', acl: 'NONE', xacl: 'NONE' };
  await qconf('-Aprj', file('project', project));
  const prolog = join(directory, 'prolog');
  const script = [
    '#!/bin/sh',
    `sleep ${options.prologSeconds ?? 2}`,
    `while [ -e ${heldProlog(directory)} ]; do sleep 0.2; done`,
  ];
  writeFileSync(prolog, `${script.join('\n')}\n`, { mode: 0o755 });
  await qconf(
    '-Aq',
    file('queue', queue(site, { qname: 'vms.q', pe_list: 'wsp1 wsp2', projects: 'physics', prolog })),
  );
  // What others have: on the same nodes, and without what a gang needs.
  await qconf(
    '-Aq',
    file('queue', queue(site, { qname: 'all.q', pe_list: 'NONE', projects: 'NONE', prolog: 'NONE' })),
  );
}

/** The nodes' memory, in turn. */
function memoryOf({ memoryMiB = [1_400, 2_100] }: GridEngineOptions, index: number): number {
  return memoryMiB[index % memoryMiB.length] ?? 0;
}

/** Memory that is counted is taken from its node's; what is measured is as Grid Engine is installed. (h_vmem would limit addresses, of which Node.js reserves many.) */
async function setMemory(
  { directory, options, nodes, qconf }: Site,
  how: 'measured' | 'counted',
): Promise<void> {
  const counted = how === 'counted';
  const complexes = (await qconf('-sc')).replace(
    /^(mem_free\s+\S+\s+\S+\s+\S+\s+\S+\s+)(YES|NO)/m,
    `$1${counted ? 'YES' : 'NO'}`,
  );
  writeFileSync(join(directory, 'complexes'), complexes);
  await qconf('-Mc', join(directory, 'complexes'));
  for (const [index, { name }] of nodes.entries()) {
    const values = `slots=2,kvm=TRUE${counted ? `,mem_free=${memoryOf(options, index)}M` : ''}`;
    await qconf('-rattr', 'exechost', 'complex_values', values, name);
  }
}

/** A scheduler that looks every second, and memory that is counted. */
async function hurry({ directory, qconf }: Site): Promise<void> {
  await qconf('-as', hostname());
  const scheduler = await qconf('-ssconf');
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
  const complexes = (await qconf('-sc')).replace(
    /^(mem_free\s+\S+\s+\S+\s+\S+\s+\S+\s+)NO(\s+)0/m,
    '$1YES$20',
  );
  const path = join(directory, 'complexes');
  writeFileSync(path, complexes.replace(/^load_avg/m, 'kvm kvm BOOL == FORCED NO 0 0\nload_avg'));
  await qconf('-Mc', path);
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
  { directory, nodes, options }: Site,
  own: {
    readonly qname: string;
    readonly pe_list: string;
    readonly projects: string;
    readonly prolog: string;
  },
): Record<string, string> {
  const none =
    'load_thresholds suspend_thresholds ckpt_list epilog starter_method suspend_method resume_method terminate_method owner_list user_lists xuser_lists subordinate_list complex_values xprojects calendar';
  const unlimited = ['rt', 'cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'vmem'].flatMap(limit => [
    `s_${limit}`,
    `h_${limit}`,
  ]);
  return {
    ...own,
    hostlist: '@allhosts',
    seq_no: '0',
    nsuspend: '1',
    suspend_interval: '00:05:00',
    priority: '0',
    min_cpu_interval: '00:05:00',
    processors: 'UNDEFINED',
    qtype: 'BATCH INTERACTIVE',
    rerun: 'FALSE',
    slots: '2',
    // The nodes share this machine's /tmp: each has its own part.
    tmpdir: ['/tmp', ...nodes.map(({ name }) => `[${name}=${join(directory, 'tmp', name)}]`)].join(','),
    shell: '/bin/sh',
    shell_start_mode: 'unix_behavior',
    notify: clockTime(options.notifySeconds ?? 10),
    initial_state: 'default',
    ...Object.fromEntries(none.split(' ').map(key => [key, 'NONE'])),
    ...Object.fromEntries(unlimited.map(key => [key, 'INFINITY'])),
  };
}

function clockTime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${two(seconds / 3_600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
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
export function gridEngineSettings({ directory, env }: Pick<GridEngineCluster, 'directory' | 'env'>) {
  return {
    root: env['SGE_ROOT'] ?? '',
    binDir: tools,
    cell,
    qmasterPort: Number(env['SGE_QMASTER_PORT']),
    execdPort: Number(env['SGE_EXECD_PORT']),
    parallelEnvironments: ['wsp1', 'wsp2'],
    memoryResource: 'mem_free',
    programDir: join(directory, 'programs'),
    node: process.execPath,
  };
}
