import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NicPlan } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';
import { dnsmasqArguments, reservation } from '../network/dhcp.ts';
import { bridgeRules, bridgeTable, deleteTable } from '../network/filter.ts';
import { hasInterface } from '../network/interfaces.ts';
import { bridgeCommands, floodCommands, linkInterface, vxlanName } from '../network/links.ts';
import { killProcess, startTimeOf } from './proc.ts';
import type { RootTools } from './tools.ts';

/** What `ip -j addr show` says of an interface, as far as it matters here. */
interface UplinkState {
  readonly flags?: readonly string[];
  readonly master?: string;
  readonly addr_info?: readonly { readonly scope?: string }[];
}

/**
 * Bridges of a node, each shared by the VMs of a network, possibly of several slots. Called under the node lock.
 *
 *   <bridges>/<bridge>/members/<tap>   who needs it; the last one that leaves takes it down
 *                      hosts/<tap>     DHCP reservations, watched by dnsmasq
 *                      pid, leases     dnsmasq's own
 *                      uplink          name of the site's interface in it, and whether it was up
 *
 * If we crash in the middle: the member file was written first, so the undo finds it and takes down whatever is there.
 */
export class Bridges {
  readonly #directory: string;
  readonly #tools: RootTools;

  constructor(directory: string, tools: RootTools) {
    this.#directory = directory;
    this.#tools = tools;
  }

  /** Makes `nic`'s tap a member, and the bridge when it is not there. */
  async join(nic: NicPlan, hostname: string): Promise<void> {
    const { name } = nic.bridge;
    const at = this.#paths(name);
    for (const path of [at.members, at.hosts]) mkdirSync(path, { recursive: true, mode: 0o700 });
    writeFileSync(join(at.members, nic.tap), '', { mode: 0o600 });
    writeFileSync(join(at.hosts, nic.tap), reservation(nic, hostname), { mode: 0o600 });
    if (!hasInterface(name)) await this.#make(nic, at.directory);
    if (!this.#dhcpRuns(at.pid))
      await this.#tools.run(dnsmasqArguments(nic, { hosts: at.hosts, leases: at.leases, pid: at.pid }));
  }

  /** Ends a membership; the last one takes everything down. A membership that never was is no error. */
  async leave(name: string, tap: string): Promise<void> {
    const at = this.#paths(name);
    rmSync(join(at.members, tap), { force: true });
    rmSync(join(at.hosts, tap), { force: true });
    if (!existsSync(at.directory) || (existsSync(at.members) && readdirSync(at.members).length > 0)) return;
    await this.#endDhcp(at.pid);
    await this.#releaseUplink(at.uplink);
    for (const link of [vxlanName(name), name]) {
      if (hasInterface(link)) await this.#tools.run(['ip', 'link', 'del', link]);
    }
    await this.#tools.nft(['bridge', 'inet'].map(family => deleteTable(family, bridgeTable(name))).join(''));
    rmSync(at.directory, { recursive: true, force: true });
  }

  #paths(name: string) {
    const directory = join(this.#directory, name);
    return {
      directory,
      members: join(directory, 'members'),
      hosts: join(directory, 'hosts'),
      leases: join(directory, 'leases'),
      pid: join(directory, 'pid'),
      uplink: join(directory, 'uplink'),
    };
  }

  async #make(nic: NicPlan, directory: string): Promise<void> {
    const { bridge } = nic;
    if (bridge.link.kind === 'uplink')
      await this.#recordUplink(bridge.link.interface, join(directory, 'uplink'));
    // The rules are there before the first packet can be.
    await this.#tools.nft(bridgeRules(nic, linkInterface(bridge)));
    await this.#tools.ipBatch(bridgeCommands(bridge));
    writeFileSync(`/proc/sys/net/ipv6/conf/${bridge.name}/disable_ipv6`, '1');
    await this.#tools.bridgeBatch(floodCommands(bridge));
  }

  /** An interface that carries the node's own addresses is refused: bridging it would cut the node off. */
  async #recordUplink(uplink: string, path: string): Promise<void> {
    if (!hasInterface(uplink))
      throw new ControlError(
        'uplink_missing',
        `this node has no interface ${uplink} (the network's uplink in the site file)`,
      );
    const { stdout } = await this.#tools.run(['ip', '-j', 'addr', 'show', 'dev', uplink]);
    const [link] = JSON.parse(stdout) as readonly UplinkState[];
    if (link?.master !== undefined)
      throw new ControlError('uplink_busy', `${uplink} already belongs to ${link.master}, which is not ours`);
    if (link?.addr_info?.some(address => address.scope !== 'link'))
      throw new ControlError(
        'uplink_in_use',
        `${uplink} carries addresses of the node; bridging it would cut the node off`,
      );
    const isUp = link?.flags?.includes('UP') ?? false;
    writeFileSync(path, `${uplink} ${isUp ? 'up' : 'down'}`, { mode: 0o600 });
  }

  async #releaseUplink(path: string): Promise<void> {
    if (!existsSync(path)) return;
    const [uplink = '', state = 'down'] = readFileSync(path, 'utf8').split(' ');
    if (hasInterface(uplink)) await this.#tools.run(['ip', 'link', 'set', 'dev', uplink, 'nomaster', state]);
  }

  #dhcpRuns(pidFile: string): boolean {
    return existsSync(pidFile) && startTimeOf(Number(readFileSync(pidFile, 'utf8'))) !== undefined;
  }

  async #endDhcp(pidFile: string): Promise<void> {
    if (!existsSync(pidFile)) return;
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const startTime = startTimeOf(pid);
    // The pid may be another's by now: only a dnsmasq is killed.
    if (startTime === undefined || !readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('dnsmasq')) return;
    if (!(await killProcess(this.#tools.clock, pid, startTime, 2_000))) {
      throw new ControlError('undo_failed', `the DHCP service with pid ${pid} does not end`);
    }
  }
}
