import type { HelperPolicy } from '../../src/protocol/helper-policy.ts';
import { nicPolicy } from './node.ts';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bridges } from '../../src/control/helper/bridges.ts';
import { type HelperDirectory, helperDirectory } from '../../src/control/helper/journal.ts';
import { RootTools } from '../../src/control/helper/tools.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import type { CommandResult } from '../../src/platform/process.ts';
import type { NicPlan } from '../../src/protocol/plan.ts';

/** An interface as `ip -json address show` tells it. */
interface Shown {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly flags?: readonly string[];
  readonly master?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly scope?: string }[];
}

/**
 * A node for the helper's unit tests: its directories are real, and so is what runs as a bridge's
 * DHCP service; its interfaces and its tables of nftables are what `ip` and `nft` were told to make.
 * The test replaces `network/interfaces.ts` by one that tells `interfaces`.
 */
export class ImitatedNode {
  readonly place = mkdtempSync(join(tmpdir(), 'wsp-imitated-'));
  readonly at: HelperDirectory;
  readonly tools: RootTools;
  readonly bridges: Bridges;
  /** What was run: the program with its arguments, and a line for each line of its input. */
  readonly ran: string[] = [];
  readonly tables = new Set<string>();
  /** What is told of an interface beside its name. */
  readonly shown = new Map<string, Omit<Shown, 'ifname'>>();
  /** A run with this in its arguments or its input fails. */
  failsAt: string | undefined;
  readonly #interfaces: Set<string>;
  readonly #children: Child[] = [];

  constructor(interfaces: Set<string>, clock: Clock = systemClock) {
    this.#interfaces = interfaces;
    interfaces.clear();
    for (const name of ['lo', 'eth1']) interfaces.add(name);
    this.at = helperDirectory(join(this.place, 'state'), join(this.place, 'disk'), 'n01');
    this.tools = new RootTools(clock, { run: (argv, { input = '' }) => this.run(argv, input) });
    this.bridges = new Bridges(this.at, this.tools);
  }

  /** Ends what runs, and removes all files. */
  async remove(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      await child.exited;
    }
    rmSync(this.place, { recursive: true, force: true });
  }

  /** What was run since it was last asked. */
  taken(): readonly string[] {
    return this.ran.splice(0);
  }

  async run(argv: readonly string[], input = ''): Promise<CommandResult> {
    const lines = input.split('\n').filter(line => line !== '');
    this.ran.push(argv.join(' '), ...lines);
    const [program = ''] = argv;
    if (this.failsAt !== undefined && `${argv.join(' ')}\n${input}`.includes(this.failsAt)) return failed;
    if (program === 'ip' && argv.includes('-batch')) {
      const results = lines.map(line => this.#ip(line));
      return results.includes(false) ? failed : done('');
    }
    if (program === 'ip') return done(JSON.stringify(this.#show()));
    if (program === 'nft' && argv[1] === 'list') return done([...this.tables].join('\n'));
    if (program === 'nft') for (const line of lines) this.#nft(line);
    if (argv.includes('dnsmasq')) await this.#dhcp(argv);
    if (program === 'rm' || program === 'setpriv') this.#remove(argv);
    return done('');
  }

  #ip(line: string): boolean {
    const [, added] = /^(?:link add name|tuntap add dev) (\S+)/.exec(line) ?? [];
    if (added !== undefined) {
      if (this.#interfaces.has(added)) return false;
      this.#interfaces.add(added);
    }
    const [, aliased, ifalias] = /^link set dev (\S+) .*alias (\S+)$/.exec(line) ?? [];
    if (aliased !== undefined && ifalias !== undefined) this.shown.set(aliased, { ifalias });
    const [, deleted] = /^link del dev (\S+)$/.exec(line) ?? [];
    return deleted === undefined || this.#interfaces.delete(deleted);
  }

  #show(): readonly Shown[] {
    return [...this.#interfaces].map(ifname => ({ ifname, ...this.shown.get(ifname) }));
  }

  #nft(line: string): void {
    const [, added] = /^(table \S+ \S+) \{$/.exec(line) ?? [];
    if (added !== undefined) this.tables.add(added);
    const [, deleted] = /^delete (table \S+ \S+)$/.exec(line) ?? [];
    if (deleted !== undefined) this.tables.delete(deleted);
  }

  async #dhcp(argv: readonly string[]): Promise<void> {
    const mark = argv.find(each => each.startsWith('--pid-file=')) ?? '';
    await this.startDhcp(mark.slice('--pid-file='.length));
  }

  /** What stands for a bridge's DHCP service. */
  async startDhcp(pidFile: string): Promise<Child> {
    const script = 'trap "exit 9" HUP; echo up; read line';
    const child = await startChild(['sh', '-c', script, 'dnsmasq', `--pid-file=${pidFile}`], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#children.push(child);
    await new Promise(resolve => child.stdout?.once('data', resolve));
    writeFileSync(pidFile, `${child.pid}\n`);
    return child;
  }

  #remove(argv: readonly string[]): void {
    const path = argv.at(-1) ?? '';
    if (argv.includes('rm') && path.startsWith(`${this.place}/`))
      rmSync(path, { recursive: true, force: true });
  }

  /** An empty directory of the test's. */
  directory(name: string): string {
    const path = join(this.place, name);
    mkdirSync(path, { recursive: true });
    return path;
  }
}

function done(stdout: string): CommandResult {
  return { code: 0, signal: null, stdout, stderr: '' };
}

const failed: CommandResult = { code: 1, signal: null, stdout: '', stderr: 'no\n' };

/** An interface of the network `private`, of which there may be others on the node. */
export function nicOf(number: number, link: NicPlan['bridge']['link'] = { kind: 'isolated' }): NicPlan {
  return {
    network: 'private',
    mac: `02:00:00:00:00:0${number}`,
    address: `10.91.0.${number}`,
    prefixLength: 24,
    dns: [],
    tap: `wttest${number}`,
    bridge: { name: 'wbtest', link, serviceAddress: '169.254.77.1', mtu: 1_500 },
  };
}

/** What root allows users there: the network of `nicOf`, with one address, and some nodes. */
export const policy: HelperPolicy = {
  networks: [{ ...nicPolicy, last: nicPolicy.first }],
  peers: ['10.1.0.0/16'],
};
