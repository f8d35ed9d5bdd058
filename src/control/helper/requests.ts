import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { interfacePattern, macPattern, namePattern } from '../../protocol/ids.ts';
import { parsePolicyNetworks, type PolicyNetwork } from '../../protocol/helper-policy.ts';
import { excessIn } from '../../protocol/json.ts';
import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { protocols } from '../../protocol/versions.ts';

/**
 * What a pilot may ask of the helper: one JSON object a line. The helper is root and the pilot is not, so everything is checked here, by hand,
 * before it becomes part of a command or a rule.
 */
export type HelperRequest =
  | { readonly id: number; readonly op: 'attach-nic'; readonly nic: NicPlan; readonly hostname: string }
  | { readonly id: number; readonly op: 'detach-nic'; readonly tap: string }
  | {
      readonly id: number;
      readonly op: 'set-peers';
      readonly bridge: string;
      readonly peers: readonly VxlanPeer[];
    }
  | { readonly id: number; readonly op: 'adopt-process'; readonly pid: number }
  | { readonly id: number; readonly op: 'adopt-directory'; readonly path: string }
  | { readonly id: number; readonly op: 'check-networks'; readonly networks: readonly PolicyNetwork[] }
  | { readonly id: number; readonly op: 'undo' };

/**
 * What a helper can do that one of its protocol need not be able to. `set-peers`: its VXLANs know
 * their peers' MACs, and can be told others. `check-networks`: it says whether its policy allows them.
 */
export type HelperFeature = 'set-peers' | 'check-networks';

/** The first line that a helper says. Without numbers: a helper of before there were any. */
export interface HelperGreeting {
  readonly id: 0;
  readonly ok: true;
  readonly protocol?: number;
  readonly features?: readonly string[];
}

/** What this helper says first. */
export const greeting: HelperGreeting = {
  id: 0,
  ok: true,
  protocol: protocols.helper,
  features: ['set-peers', 'check-networks'] satisfies readonly HelperFeature[],
};

/** One JSON object a line, for each request one, with its id. Id 0: the greeting; -1: to a line that could not be read. */
export type HelperAnswer =
  | HelperGreeting
  | { readonly id: number; readonly ok: true }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly message: string };

/** Only interfaces with our own prefixes may be made and deleted. */
const ownTap = /^wt[a-z0-9]{1,13}$/;
/**
 * With an x at its end a name is a VXLAN's (`links.ts`), which goes with the bridge that it is of.
 */
const ownBridge = /^wb[a-z0-9]{0,11}[a-wyz0-9]$/;

/** Of what a refusal says: the line itself may be a thousand times as long. */
const longestMessage = 500;

/** A line that is no request. `id`: which one it claims to be, or -1. */
export class BadRequest extends Error {
  readonly id: number;
  constructor(id: number, message: string) {
    super(message);
    this.name = 'BadRequest';
    this.id = id;
  }
}

/** The request in a line. Throws `BadRequest`, which says what is wrong with it. */
export function parseRequest(line: string): HelperRequest {
  let id = -1;
  try {
    const excess = excessIn(line);
    if (excess !== undefined) throw new Error(`the request is refused: ${excess}`);
    const value = record({ request: JSON.parse(line) as unknown }, 'request');
    id = integer(value, 'id', 1, Number.MAX_SAFE_INTEGER);
    return parseOperation(id, value);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new BadRequest(id, message.slice(0, longestMessage));
  }
}

function parseOperation(id: number, value: Record<string, unknown>): HelperRequest {
  switch (value['op']) {
    case 'attach-nic':
      only(value, ['id', 'op', 'nic', 'hostname']);
      return {
        id,
        op: 'attach-nic',
        nic: parseNic(record(value, 'nic')),
        hostname: text(value, 'hostname', new RegExp(namePattern), 'a name'),
      };
    case 'detach-nic':
      only(value, ['id', 'op', 'tap']);
      return { id, op: 'detach-nic', tap: text(value, 'tap', ownTap, 'the name of one of our taps, wt…') };
    case 'set-peers':
      only(value, ['id', 'op', 'bridge', 'peers']);
      return {
        id,
        op: 'set-peers',
        bridge: text(value, 'bridge', ownBridge, 'the name of one of our bridges, wb…'),
        peers: parsePeers(value),
      };
    case 'adopt-process':
      only(value, ['id', 'op', 'pid']);
      return { id, op: 'adopt-process', pid: integer(value, 'pid', 2, 2 ** 22) };
    case 'adopt-directory': {
      only(value, ['id', 'op', 'path']);
      const path = text(value, 'path', /^\/[^\0\n]{1,1000}$/, 'an absolute path');
      // A slash at its end would have the system follow a link that stands there.
      if (resolve(path) !== path || path.split('/').length < 4)
        throw new Error(`path ${path} is not a slot's directory`);
      return { id, op: 'adopt-directory', path };
    }
    case 'check-networks':
      only(value, ['id', 'op', 'networks']);
      return { id, op: 'check-networks', networks: parsePolicyNetworks(value['networks'], 'networks') };
    case 'undo':
      only(value, ['id', 'op']);
      return { id, op: 'undo' };
    default:
      throw new Error(`op ${JSON.stringify(value['op'])} is not known`);
  }
}

function parseNic(value: Record<string, unknown>): NicPlan {
  only(value, ['network', 'mac', 'address', 'prefixLength', 'gateway', 'dns', 'tap', 'bridge']);
  const bridge = record(value, 'bridge');
  only(bridge, ['name', 'link', 'serviceAddress', 'mtu']);
  const gateway = value['gateway'] === undefined ? {} : { gateway: hostAddress(value, 'gateway') };
  return {
    network: text(value, 'network', new RegExp(namePattern), 'a name'),
    mac: mac(value, 'mac'),
    address: hostAddress(value, 'address'),
    prefixLength: integer(value, 'prefixLength', 1, 32),
    ...gateway,
    dns: list(value, 'dns', 4).map(entry => ipv4({ dns: entry }, 'dns')),
    tap: text(value, 'tap', ownTap, 'the name of one of our taps, wt…'),
    bridge: {
      name: text(bridge, 'name', ownBridge, 'the name of one of our bridges, wb…'),
      link: parseLink(record(bridge, 'link')),
      serviceAddress: linkLocal(bridge, 'serviceAddress'),
      mtu: integer(bridge, 'mtu', 576, 9_216),
    },
  };
}

function parseLink(value: Record<string, unknown>): NicPlan['bridge']['link'] {
  switch (value['kind']) {
    case 'uplink':
      only(value, ['kind', 'interface']);
      return {
        kind: 'uplink',
        interface: text(value, 'interface', new RegExp(interfacePattern), 'the name of an interface'),
      };
    case 'vxlan':
      only(value, ['kind', 'vni', 'peers', 'port']);
      return {
        kind: 'vxlan',
        vni: integer(value, 'vni', 1, 16_777_215),
        peers: parsePeers(value),
        port: integer(value, 'port', 1, 65_535),
      };
    case 'isolated':
      only(value, ['kind']);
      return { kind: 'isolated' };
    default:
      throw new Error(`link.kind ${JSON.stringify(value['kind'])} is not known`);
  }
}

function parsePeers(value: Record<string, unknown>): VxlanPeer[] {
  return list(value, 'peers', 4_096).map(entry => {
    const peer = record({ peer: entry }, 'peer');
    only(peer, ['address', 'macs']);
    const macs = list(peer, 'macs', 4_096).map(each => mac({ macs: each }, 'macs'));
    return { address: hostAddress(peer, 'address'), macs };
  });
}

/** What we do not know, we do not half obey. */
function only(value: Record<string, unknown>, known: readonly string[]): void {
  const unknown = Object.keys(value).filter(key => !known.includes(key));
  if (unknown.length > 0)
    throw new Error(`${unknown.map(key => JSON.stringify(key)).join(', ')} is not known`);
}

function record(from: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = from[key];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${key} is not an object`);
  return value as Record<string, unknown>;
}

function text(from: Record<string, unknown>, key: string, pattern: RegExp, what: string): string {
  const value = from[key];
  if (typeof value !== 'string' || !pattern.test(value))
    throw new Error(`${key} ${JSON.stringify(value)} is not ${what}`);
  return value;
}

function ipv4(from: Record<string, unknown>, key: string): string {
  const value = from[key];
  // Not with leading zeros either: some programs read them as octal.
  if (typeof value !== 'string' || !isIPv4(value))
    throw new Error(`${key} ${JSON.stringify(value)} is not an IPv4 address`);
  return value;
}

/** One host's address: not loopback, link-local, multicast, nor "this network". */
function hostAddress(from: Record<string, unknown>, key: string): string {
  const value = ipv4(from, key);
  if (/^(0|127|22[4-9]|2[345]\d)\.|^169\.254\./.test(value))
    throw new Error(`${key} ${value} is not a host's address`);
  return value;
}

function linkLocal(from: Record<string, unknown>, key: string): string {
  const value = ipv4(from, key);
  if (!value.startsWith('169.254.')) throw new Error(`${key} ${value} is not link-local`);
  return value;
}

/** A MAC of one interface: an odd first octet would name a group of them. */
function mac(from: Record<string, unknown>, key: string): string {
  const value = text(from, key, new RegExp(macPattern), 'a MAC');
  if (Number.parseInt(value.slice(0, 2), 16) % 2 === 1)
    throw new Error(`${key} ${value} is a multicast address`);
  return value;
}

function integer(from: Record<string, unknown>, key: string, least: number, most: number): number {
  const value = from[key];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new Error(`${key} ${JSON.stringify(value)} is not a whole number from ${least} to ${most}`);
  }
  return value;
}

function list(from: Record<string, unknown>, key: string, most: number): unknown[] {
  const value = from[key];
  if (!Array.isArray(value) || value.length > most)
    throw new Error(`${key} is not a list of at most ${most}`);
  return value;
}
