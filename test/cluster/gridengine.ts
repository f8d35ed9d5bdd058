import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeNodes, type NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { makePlace, noteNodes, removePlace, removeStale } from '../support/temp-dirs.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import { type GridEngineAdministrator, gridEngineAdministrator } from './gridengine-administrator.ts';
import {
  clockTime,
  configure,
  type GridEngineOptions,
  gridEngineTerms,
  setMemory,
  type ToConfigure,
} from './gridengine-conf.ts';
import { type HostView, makeHostView } from './host-view.ts';
import { makeServiceAccount, type ServiceAccount } from './service-account.ts';
import { freePort } from './slurm.ts';

/** A private, real Grid Engine on this machine: sge_qmaster, one sge_execd per network namespace. */
export interface GridEngineCluster extends BatchCluster, GridEngineAdministrator {
  readonly account: ServiceAccount;
  /** Environment of every Grid Engine command: SGE_ROOT, SGE_CELL, ports. */
  readonly env: Readonly<Record<string, string>>;
}

const startDeadlineMs = 60_000;
const cell = 'default';
const packageRoot = '/var/lib/gridengine';
/**
 * Grid Engine's own programs. Debian's of the same names ask about the machine for half a second
 * before each.
 */
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
  try {
    return await startIn({ directory, view, env, run }, networks, options);
  } catch (cause) {
    await removePlace(directory);
    throw cause;
  }
}

async function startIn(
  place: Place,
  networks: NodeNetworks,
  options: GridEngineOptions,
): Promise<GridEngineCluster> {
  const { directory, view, env, run } = place;
  await initialise(place, networks, options);
  const qmaster = await startMaster(place);
  const qconf = (...what: string[]) => must(run, onHost(directory, hostname(), ['qconf', ...what]));
  const site: ToConfigure = { directory, options, nodes: networks.nodes, qconf };
  await configure(site);
  const nodes: Child[] = [];
  for (const node of networks.nodes) nodes.push(await startNode(place, node));
  const up = ({ stdout }: CommandResult): boolean =>
    !/\s-\s+-\s+-\s*$/m.test(stdout.split('\n').slice(3).join('\n'));
  await until(run, ['qhost'], up);
  const account = await makeServiceAccount(view, directory);
  const reach = { directory, view, run, qconf, nodes };
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
      { ...reach, startMaster: () => startMaster(place), setMemory: how => setMemory(site, how) },
      qmaster,
    ),
  };
}

/** Where it is, and how its commands are run. */
interface Place {
  readonly directory: string;
  readonly view: HostView;
  readonly env: GridEngineCluster['env'];
  readonly run: BatchCluster['run'];
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
