import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { BridgePlan, NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';
import { dhcpMark, dnsmasqArguments, reservation } from '../network/dhcp.ts';
import { bridgeRules, deleteRulesOf, peerRules } from '../network/filter.ts';
import { forwardingCommands } from '../network/forwarding.ts';
import { interfaceNames } from '../network/interfaces.ts';
import {
  bridgeCommands,
  bridgeMac,
  bridgeSettings,
  bridgeUpCommands,
  linkInterface,
  ownPort,
  portSettings,
} from '../network/bridge.ts';
import { isVxlan, linkKind } from '../network/links/index.ts';
import { subnetOf } from '../network/subnet.ts';
import type { HelperDirectory } from './journal.ts';
import { argumentsOf, endProcess, startTimeOf } from './proc.ts';
import { keyText, type SlotKey } from './slot-key.ts';
import type { RootTools } from './tools.ts';
import { takeUplink } from './uplink.ts';

/**
 * Bridges of a node, each shared by the VMs of a network, possibly of several slots. Called under the node's lock.
 *
 *   <bridges>/<bridge>/members/<tap>   who needs it (BridgeMember); the last one that leaves takes it down
 *                      hosts/<tap>     DHCP reservations, watched by dnsmasq
 *                      record          what the bridge is (BridgeRecord), written before it is made and again when it is complete
 *                      pid             dnsmasq's
 *
 * Invariant: an interface, rule or process of a bridge exists only while its record does. If we crash in the middle: the record says that the bridge
 * is not complete, so the next member makes it anew; and the members that had been written are undone by their slots' journals.
 */
export class Bridges {
  readonly #at: HelperDirectory;
  readonly #tools: RootTools;

  constructor(at: HelperDirectory, tools: RootTools) {
    this.#at = at;
    this.#tools = tools;
  }

  /** Whether `nic` could join now. Changes nothing. Throws `ControlError` that says why not. */
  check(nic: NicPlan, uid: number): void {
    const { name } = nic.bridge;
    const here = interfaceNames();
    for (const { tap, address, mac } of this.names().flatMap(bridge => this.members(bridge))) {
      if (tap === nic.tap) throw inUse(`tap ${tap}`);
      if (address === nic.address) throw inUse(`VM with the address ${address}`);
      if (mac === nic.mac) throw inUse(`VM with the MAC ${mac}`);
    }
    if (Object.values(networkInterfaces()).some(each => each?.some(({ address }) => address === nic.address)))
      throw new ControlError('address_in_use', `${nic.address} is an address of the node itself`);
    if (here.has(nic.tap)) throw inUse(`interface ${nic.tap}`);
    const record = readRecord(this.#paths(name).record);
    if (here.has(name) && !record)
      throw new ControlError('bridge_foreign', `an interface ${name} is there that no helper has made`);
    if (!record) return;
    // The site's own network is everybody's; a network of a workspace is of whoever made it, one
    // that is half made too.
    const wanted = recordOf(nic, uid);
    const isEverybodys = wanted.uplink !== undefined && record.uplink !== undefined;
    if (!isEverybodys && record.uid !== uid)
      throw new ControlError('bridge_foreign', `the bridge ${name} is another user's`);
    if (record.complete) checkSame(record, wanted);
  }

  /** Makes `nic`'s tap a member, and the bridge when it is not there. Throws `ControlError`, then `leave` undoes what was done. */
  async join(nic: NicPlan, hostname: string, key: SlotKey): Promise<void> {
    const { name } = nic.bridge;
    const at = this.#paths(name);
    const record = readRecord(at.record);
    const exists = interfaceNames().has(name);
    for (const [path, mode] of [
      [this.#at.bridges, 0o711],
      [at.directory, 0o711],
      [at.members, 0o700],
      [at.hosts, 0o755],
    ] as const)
      mkdirSync(path, { recursive: true, mode });
    const member: BridgeMember = { slot: keyText(key), address: nic.address, mac: nic.mac };
    writeFileSync(join(at.members, nic.tap), JSON.stringify(member), { mode: 0o600 });
    writeFileSync(join(at.hosts, nic.tap), reservation(nic, hostname), { mode: 0o644 });
    if (record?.complete && exists) await this.#putPeers(nic.bridge);
    else await this.#make(nic, key.uid);
    if (this.#dhcpPid(at.pid) === undefined) {
      const readableByAll = isReadableByAll(at.hosts);
      await this.#tools.run(dnsmasqArguments(nic, { hosts: at.hosts, pid: at.pid, readableByAll }));
    }
  }

  /**
   * Gives a bridge other peers, for a slot with a tap on it. One that is not here gets them when it
   * is made. Throws `ControlError`.
   */
  async setPeers(name: string, peers: readonly VxlanPeer[], key: SlotKey): Promise<void> {
    if (!readRecord(this.#paths(name).record)?.complete) return;
    if (!this.members(name).some(member => member.slot === keyText(key)))
      throw new ControlError('not_yours', `${key.slotId} has no tap on bridge ${name}`);
    await this.#forward(name, peers);
  }

  /** Ends memberships; the last one takes everything down. A membership that never was is no error. Throws `ControlError` naming what is left. */
  async leave(name: string, taps: readonly string[]): Promise<void> {
    const at = this.#paths(name);
    for (const tap of taps) {
      rmSync(join(at.members, tap), { force: true });
      rmSync(join(at.hosts, tap), { force: true });
    }
    if (!existsSync(at.directory)) return;
    if (namesIn(at.members).length === 0) {
      await this.#unmake(name);
      rmSync(at.directory, { recursive: true, force: true });
      return;
    }
    // dnsmasq sees new files by itself, but forgets removed ones only when told.
    const pid = this.#dhcpPid(at.pid);
    if (pid !== undefined) process.kill(pid, 'SIGHUP');
  }

  names(): string[] {
    return namesIn(this.#at.bridges);
  }

  /** Taps on a bridge, and whose they are. */
  members(name: string): readonly (BridgeMember & { readonly tap: string })[] {
    return namesIn(this.#paths(name).members).map(tap => ({ tap, ...this.#member(name, tap) }));
  }

  /** Whose tap it is on a bridge; undefined when it is nobody's. */
  memberOf(name: string, tap: string): BridgeMember | undefined {
    return existsSync(join(this.#paths(name).members, tap)) ? this.#member(name, tap) : undefined;
  }

  /** One that a crash has left half written is nobody's. */
  #member(name: string, tap: string): BridgeMember {
    try {
      return JSON.parse(readFileSync(join(this.#paths(name).members, tap), 'utf8')) as BridgeMember;
    } catch {
      return { slot: '', address: '', mac: '' };
    }
  }

  #paths(name: string) {
    const directory = join(this.#at.bridges, name);
    return {
      directory,
      members: join(directory, 'members'),
      hosts: join(directory, 'hosts'),
      record: join(directory, 'record'),
      pid: this.#at.dhcpPidOf(name),
    };
  }

  async #make(nic: NicPlan, uid: number): Promise<void> {
    const { bridge } = nic;
    const at = this.#paths(bridge.name);
    // What a crash has left half made, or somebody has half removed.
    await this.#unmake(bridge.name);
    const record = recordOf(nic, uid);
    const { uplink } = record;
    const wasUp = uplink === undefined ? {} : { uplinkWasUp: await takeUplink(uplink, this.#tools) };
    writeRecord(at.record, { ...record, ...wasUp });
    await this.#tools.ipBatch(bridgeCommands(bridge, bridgeMac(this.#at.name, bridge.name), this.#at.mark));
    this.#tools.set(bridgeSettings(bridge.name));
    const port = linkInterface(bridge);
    if (port !== undefined && port !== uplink) this.#tools.set(portSettings(port));
    await this.#tools.nft(bridgeRules(nic, port));
    await this.#putPeers(bridge);
    await this.#tools.ipBatch(bridgeUpCommands(bridge));
    writeRecord(at.record, { ...mustRead(at.record), complete: true });
  }

  /** A VM that comes knows the network as it is now. */
  async #putPeers({ name, link }: BridgePlan): Promise<void> {
    if (isVxlan(link)) await this.#forward(name, link.peers);
  }

  /**
   * Nothing to do when it has these already, as for most VMs that join. What the kernel has is
   * looked up otherwise, and the record says nothing meanwhile: a crash in the middle leaves
   * nothing that the next one does not see.
   */
  async #forward(name: string, peers: readonly VxlanPeer[]): Promise<void> {
    const path = this.#paths(name).record;
    const { peers: known, ...record } = mustRead(path);
    if (isDeepStrictEqual(known, peers)) return;
    writeRecord(path, record);
    await this.#tools.nft(peerRules(name, peers));
    const shown = await this.#tools.run(['bridge', '-json', 'fdb', 'show', 'dev', ownPort(name)]);
    await this.#tools.bridgeBatch(forwardingCommands(name, peers, shown.stdout));
    writeRecord(path, { ...record, peers });
  }

  async #unmake(name: string): Promise<void> {
    const at = this.#paths(name);
    const record = readRecord(at.record);
    if (!record) return;
    await this.#endDhcp(at.pid);
    const here = interfaceNames();
    const links = [ownPort(name), name].filter(link => here.has(link));
    // Without its bridge the uplink is free; what is left to restore is whether it was up.
    const { uplink, uplinkWasUp } = record;
    const down = uplink !== undefined && uplinkWasUp === false && here.has(uplink) ? [uplink] : [];
    await this.#tools.ipBatch([
      ...links.map(link => `link del dev ${link}`),
      ...down.map(link => `link set dev ${link} down`),
    ]);
    await this.#tools.nft(deleteRulesOf(name));
    rmSync(at.record, { force: true });
  }

  /** The bridge's DHCP service, if it runs. */
  #dhcpPid(pidFile: string): number | undefined {
    if (!existsSync(pidFile)) return undefined;
    const pid = Number(readFileSync(pidFile, 'utf8'));
    return startTimeOf(pid) !== undefined && argumentsOf(pid).includes(dhcpMark(pidFile)) ? pid : undefined;
  }

  async #endDhcp(pidFile: string): Promise<void> {
    const pid = this.#dhcpPid(pidFile);
    if (pid === undefined) return;
    const running = { pid, startTime: startTimeOf(pid) ?? '' };
    if (!(await endProcess(this.#tools.clock, running, 'SIGKILL', 2_000)))
      throw new ControlError('undo_failed', `the DHCP service with pid ${pid} does not end`);
  }
}

/** Who has a tap on a bridge. */
interface BridgeMember {
  /** The slot's key (`slot-key.ts`). */
  readonly slot: string;
  readonly address: string;
  readonly mac: string;
}

/** What a bridge was made as. */
interface BridgeRecord {
  /** Whose slot made it. */
  readonly uid: number;
  /** As its kind of link tells it (`LinkKind.text`). */
  readonly link: string;
  readonly subnet: string;
  readonly serviceAddress: string;
  /** The site's own interface that it has as its port. */
  readonly uplink?: string;
  readonly uplinkWasUp?: boolean;
  readonly complete: boolean;
  /** Where its VXLAN sends frames; absent while that is being changed. */
  readonly peers?: readonly VxlanPeer[];
}

function recordOf(nic: NicPlan, uid: number): BridgeRecord {
  const { link, serviceAddress } = nic.bridge;
  const kind = linkKind(link);
  const uplink = kind.takes?.(link);
  return {
    ...{ uid, subnet: subnetOf(nic), serviceAddress, complete: false, link: kind.text(link) },
    ...(uplink === undefined ? {} : { uplink }),
  };
}

function inUse(what: string): ControlError {
  return new ControlError('tap_in_use', `this node has a ${what} already`);
}

/** What the network's VMs differ in would cut some of them off. Gateway, DNS and MTU are those of its first VM on the node. */
function checkSame(there: BridgeRecord, wanted: BridgeRecord): void {
  for (const key of ['link', 'subnet', 'serviceAddress'] as const) {
    if (there[key] === wanted[key]) continue;
    throw new ControlError(
      'bridge_conflict',
      `the node's bridge of this network has ${key} ${there[key]}, but ${wanted[key]} is asked for; the bridge is removed with its last VM`,
    );
  }
}

function readRecord(path: string): BridgeRecord | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as BridgeRecord) : undefined;
}

/** Of a bridge that is there. */
function mustRead(path: string): BridgeRecord {
  const record = readRecord(path);
  if (!record) throw new ControlError('journal_damaged', `${path} is not there any more`);
  return record;
}

function writeRecord(path: string, record: BridgeRecord): void {
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Whether others may enter every directory above. */
function isReadableByAll(directory: string): boolean {
  if ((statSync(directory).mode & 0o001) === 0) return false;
  return directory === '/' || isReadableByAll(dirname(directory));
}
