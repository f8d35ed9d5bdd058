import { chmodSync, chownSync, existsSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '../../src/client/client.ts';
import type { Client } from '../../src/client/client.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { pause, systemClock, withDeadline } from '../../src/platform/clock.ts';
import { helperPolicyOf } from '../../src/service/config/helper-policy.ts';
import { examineSite } from '../../src/service/config/site.ts';
import { type CommandResult, systemProcesses } from '../../src/platform/process.ts';
import { findLeftovers } from '../nothing-left.ts';
import { lastWords, logsIn } from './last-words.ts';
import { makePlace, removePlace, removeStale } from './temp-dirs.ts';
import type { BatchCluster } from '../cluster/cluster.ts';
import type { ServiceAccount } from '../cluster/service-account.ts';
import { startGridEngine } from '../cluster/gridengine.ts';
import { startPbs } from '../cluster/pbs.ts';
import { freePort, startSlurm } from '../cluster/slurm.ts';
import type { SlurmOptions } from '../cluster/slurm-conf.ts';

/** The checkout's root, without a slash at the end. */
export const root = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');

export interface SiteOptions {
  readonly lrm: 'slurm' | 'gridengine' | 'openpbs' | 'torque' | 'local';
  readonly nodes: number;
  /** The site file's `node.vmm`. Default: qemu. */
  readonly vmm?: Readonly<Record<string, unknown>>;
  /** The site file's `leases`, over defaults that suit tests. */
  readonly leases?: Readonly<Record<string, string | readonly string[]>>;
  /** Merged into the site file's `node`. */
  readonly node?: Readonly<Record<string, unknown>>;
  readonly slurm?: Omit<SlurmOptions, 'nodes'>;
  /** Merged into the site file's `service`. */
  readonly service?: (
    cluster: BatchCluster | undefined,
    directory: string,
  ) => Readonly<Record<string, unknown>>;
  /** Merged into the site file. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** The site file's `pools`, of the `lrm` section that it would have without them. */
  readonly pools?: (lrm: object) => readonly object[];
  /** Extra arguments for the submit command. */
  readonly lrmOptions?: readonly string[];
}

/** A whole site in a temporary directory: a scheduler, a running service, and a client that speaks to it. */
export interface TestSite {
  readonly directory: string;
  readonly siteFile: string;
  readonly url: string;
  readonly cluster: BatchCluster | undefined;
  readonly workDir: string;
  readonly helperStateDir: string;
  /** Environment for client commands: URL, token file, a home of its own. */
  readonly clientEnv: NodeJS.ProcessEnv;
  /** Runs `wsp …`; never rejects because of an exit code. */
  wsp(
    args: readonly string[],
    options?: { readonly deadlineMs?: number; readonly env?: NodeJS.ProcessEnv },
  ): Promise<CommandResult>;
  /** Runs `wsp … --json` and returns what it printed. Rejects with stderr when the exit code is not 0. */
  json<T = Record<string, unknown>>(args: readonly string[], deadlineMs?: number): Promise<T>;
  /**
   * `wsp …` as a command of whoever runs the service, for programs that stay: their user, their
   * checkout.
   */
  command(...args: readonly string[]): [string, ...string[]];
  /** The typed client, as the admin. */
  client(): Client;
  /** Kills the service (SIGKILL by default) and waits until it is gone. */
  killService(signal?: NodeJS.Signals): Promise<void>;
  startService(): Promise<void>;
  /** What of leases is left on the nodes and in the queue, one sentence each. */
  leftovers(workDir?: string): Promise<string[]>;
  /** Everything ends and is removed, whatever state it is in. */
  stop(): Promise<void>;
}

/** The helper as the tests run it: as root there is no sudo in between. */
export function helperArgv(stateDir: string): string[] {
  return ['setsid', '-f', process.execPath, `${root}/dist/node-tools.cjs`, 'helper', ...helperDirs(stateDir)];
}

/** Both of a helper's directories, as its options. */
export function helperDirs(stateDir: string): string[] {
  return ['--state-dir', stateDir, '--disk-dir', diskDirOf(stateDir)];
}

/** Where the helper of that state directory keeps what outlives a power loss. */
export function diskDirOf(stateDir: string): string {
  return `${stateDir}-disk`;
}

export async function startSite(options: SiteOptions): Promise<TestSite> {
  await removeStale();
  const directory = makePlace('wsp-site-');
  let cluster: BatchCluster | undefined;
  try {
    cluster = await startCluster(options);
    const port = await freePort(cluster?.headAddress ?? '127.0.0.1');
    const site = new RunningSite(directory, options, cluster, port);
    await site.lookAround();
    await site.startService();
    return site;
  } catch (cause) {
    await cluster?.stop();
    await removePlace(directory);
    throw cause;
  }
}

async function startCluster({ lrm, nodes, slurm }: SiteOptions): Promise<BatchCluster | undefined> {
  switch (lrm) {
    case 'slurm':
      return startSlurm({ nodes, ...slurm });
    case 'gridengine':
      return startGridEngine({ nodes });
    case 'openpbs':
    case 'torque':
      return startPbs({ dialect: lrm, nodes });
    case 'local':
      return undefined;
  }
}

class RunningSite implements TestSite {
  readonly directory: string;
  readonly siteFile: string;
  readonly cluster: BatchCluster | undefined;
  readonly workDir: string;
  readonly helperStateDir: string;
  url = '';
  #service: Child | undefined;
  #others: ReadonlySet<string> = new Set();

  constructor(directory: string, options: SiteOptions, cluster: BatchCluster | undefined, port: number) {
    this.directory = directory;
    this.cluster = cluster;
    this.workDir = join(directory, 'work');
    this.helperStateDir = cluster?.account?.helperStateDir ?? join(directory, 'helper');
    if (cluster?.account) giveTo(directory, cluster.account);
    this.siteFile = join(directory, 'site.yaml');
    // JSON is YAML; nothing here needs more.
    writeFileSync(this.siteFile, JSON.stringify(this.#siteDocument(options, port), null, 2));
    // As their administrator does: what the site needs, on its nodes. Its images are where only its
    // user is.
    const { config } = examineSite(this.siteFile);
    if (cluster?.account && config)
      writeFileSync(cluster.account.policyFile, JSON.stringify(helperPolicyOf(config)));
  }

  #siteDocument(options: SiteOptions, port: number): unknown {
    const { directory, cluster } = this;
    const lan = cluster?.vmLan;
    const lrm = cluster?.lrmSection(options.lrmOptions ?? []) ?? { kind: 'local', nodes: options.nodes };
    return {
      service: {
        // A port of its own, not 0: pilots find a service that was started again where it was.
        listen: `${cluster?.headAddress ?? '127.0.0.1'}:${port}`,
        stateDir: join(directory, 'state'),
        tokensFile: join(directory, 'tokens'),
        urlFile: join(directory, 'url'),
        ...options.service?.(cluster, directory),
      },
      ...(options.pools ? { pools: options.pools(lrm) } : { lrm }),
      images: { dir: `${cluster?.account?.checkout ?? root}/.cache/images` },
      networks: [
        {
          name: 'public',
          subnet: lan?.subnet ?? '10.78.250.0/24',
          ...(lan ? { gateway: lan.gateway } : {}),
          first: (lan?.subnet ?? '10.78.250.0/24').replace(/0\/24$/, '100'),
          last: (lan?.subnet ?? '10.78.250.0/24').replace(/0\/24$/, '199'),
          link: { uplink: 'eth1' },
        },
        { name: 'private', subnet: '10.90.0.0/16', link: { vxlan: { firstVni: 4000 } } },
      ],
      defaultNetwork: 'private',
      node: {
        workDir: this.workDir,
        helper: cluster?.account?.helper ?? helperArgv(this.helperStateDir),
        vmm: options.vmm ?? { kind: 'qemu' },
        ...options.node,
      },
      leases: { shutdownGrace: '5s', walltimePad: '1m', ...options.leases },
      ...options.more,
    };
  }

  get clientEnv(): NodeJS.ProcessEnv {
    const home = join(this.directory, 'home');
    return {
      PATH: this.cluster?.account?.env['PATH'] ?? process.env['PATH'],
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      // Not what this host says for all of its users, where the product is installed.
      XDG_CONFIG_DIRS: join(home, '.none'),
      XDG_CACHE_HOME: join(home, '.cache'),
      WSP_URL: this.url,
      WSP_TOKEN: readFileSync(join(this.directory, 'tokens'), 'utf8').trim().split(/\s+/)[1] ?? '',
    };
  }

  wsp(
    args: readonly string[],
    options: { readonly deadlineMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<CommandResult> {
    return systemProcesses
      .run(this.command(...args), {
        deadlineMs: options.deadlineMs ?? 120_000,
        env: { ...this.clientEnv, ...options.env },
      })
      .catch((cause: unknown) => {
        throw new Error(`wsp ${args.join(' ')}: ${String(cause)}\n${this.#lastWords()}`, { cause });
      });
  }

  command(...args: readonly string[]): [string, ...string[]] {
    return this.#asTheirs([this.#program, ...args]);
  }

  /** The product, as whoever runs the service finds it. */
  get #program(): string {
    return `${this.cluster?.account?.checkout ?? root}/bin/wsp`;
  }

  /** The command, to be run as whoever runs the service. */
  #asTheirs(argv: [string, ...string[]]): [string, ...string[]] {
    return this.cluster?.account?.as(argv) ?? argv;
  }

  client(): Client {
    return createClient({
      url: this.url,
      token: this.clientEnv['WSP_TOKEN'] ?? '',
      pause: delayMs => pause(systemClock, delayMs),
    });
  }

  async json<T>(args: readonly string[], deadlineMs?: number): Promise<T> {
    const result = await this.wsp([...args, '--json'], deadlineMs === undefined ? {} : { deadlineMs });
    if (result.code !== 0)
      throw new Error(
        `wsp ${args.join(' ')}: exit ${result.code}\n${result.stdout}${result.stderr}\n${this.#lastWords()}`,
      );
    return JSON.parse(result.stdout) as T;
  }

  /** What the scheduler and the service said last: why a workspace is as it is. */
  #lastWords(): string {
    const scheduler = this.cluster ? logsIn(join(this.cluster.directory, 'log')) : [];
    return `${lastWords(scheduler, 8)}\n${lastWords([join(this.directory, 'service.log')], 15)}`;
  }

  async startService(): Promise<void> {
    const urlFile = join(this.directory, 'url');
    rmSync(urlFile, { force: true });
    const log = join(this.directory, 'service.log');
    const logged = 'exec "$0" service --config "$1" 2>>"$2"';
    const child = await startChild(this.#asTheirs(['sh', '-c', logged, this.#program, this.siteFile, log]), {
      env: { ...process.env, ...this.cluster?.account?.env },
      stdio: ['ignore', 'ignore', 'ignore'],
      // A session of its own, as a daemon has: what the tests do counts against its share of the
      // processors otherwise.
      detached: true,
    });
    this.#service = child;
    const died = child.exited.then(() => {
      throw new Error(`the service ended at once:\n${readFileSync(log, 'utf8')}`);
    });
    await withDeadline(
      systemClock,
      30_000,
      'the service listening',
      Promise.race([fileAppears(urlFile), died]),
    );
    died.catch(() => undefined);
    this.url = readFileSync(urlFile, 'utf8').trim();
  }

  async killService(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#service?.kill(signal);
    await this.#service?.exited;
    this.#service = undefined;
  }

  /** Remembers what is on this host before the site is: leases of others. */
  async lookAround(): Promise<void> {
    if (!this.cluster) this.#others = new Set(await this.#find([], this.workDir));
  }

  async leftovers(workDir = this.workDir): Promise<string[]> {
    const namespaces = this.cluster?.nodes.map(({ netns }) => netns) ?? (await this.#embeddedNodes());
    const found = await this.#find(namespaces, workDir);
    return found.filter(what => !this.#others.has(what));
  }

  #find(namespaces: readonly string[], workDir: string): Promise<string[]> {
    return findLeftovers({
      namespaces,
      stateDir: this.helperStateDir,
      diskDir: diskDirOf(this.helperStateDir),
      workDir,
      jobs: this.cluster && (() => this.cluster?.jobs() ?? Promise.resolve([])),
    });
  }

  /** The namespaces that the embedded LRM has made; this host's own is looked at where it makes none. */
  async #embeddedNodes(): Promise<readonly string[]> {
    const tag = embeddedTag(this.directory);
    return tag === undefined ? [] : namespacesOf(tag);
  }

  async stop(): Promise<void> {
    await this.killService('SIGTERM');
    await this.cluster?.stop();
    await removePlace(this.directory);
  }
}

/** The tag of the namespaces that a site's embedded LRM has made; undefined when it makes none. */
export function embeddedTag(directory: string): string | undefined {
  const file = join(directory, 'state/pools/default/nodes-tag');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/** The nodes with that tag that are there. */
export async function namespacesOf(tag: string): Promise<readonly string[]> {
  const { stdout } = await systemProcesses.run(['ip', 'netns', 'list'], { deadlineMs: 10_000 });
  return stdout
    .split('\n')
    .map(line => line.split(' ')[0] ?? '')
    .filter(name => name.startsWith(`ws${tag}-`));
}

/** The directory becomes that user's, readable for all. */
function giveTo(directory: string, { id }: ServiceAccount): void {
  chownSync(directory, id, id);
  chmodSync(directory, 0o755);
}

/** Resolves when a file of that name is in its directory. */
function fileAppears(path: string): Promise<void> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return new Promise(resolve => {
    const watcher = watch(
      path.slice(0, path.lastIndexOf('/')),
      (_event, changed) => changed === name && look(),
    );
    const look = (): void => {
      try {
        if (readFileSync(path, 'utf8').trim() === '') return;
        watcher.close();
        resolve();
      } catch {
        // not there yet
      }
    };
    look();
  });
}
