import { isAbsolute, normalize } from 'node:path';
import { interfacePattern, macPattern, namePattern } from '../../protocol/ids.ts';
import type { NicPlan } from '../../protocol/plan.ts';

/**
 * What a pilot may ask of the helper: one JSON object a line. The helper is root and the pilot is not, so everything is checked here, by hand,
 * before it becomes part of a command or a rule.
 */
export type HelperRequest =
  | { readonly id: number; readonly op: 'attach-nic'; readonly nic: NicPlan; readonly hostname: string }
  | { readonly id: number; readonly op: 'detach-nic'; readonly tap: string }
  | { readonly id: number; readonly op: 'adopt-process'; readonly pid: number }
  | { readonly id: number; readonly op: 'adopt-directory'; readonly path: string }
  | { readonly id: number; readonly op: 'undo' };

export type HelperAnswer =
  | { readonly id: number; readonly ok: true }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly message: string };

/** Only interfaces with our own prefixes may be made and deleted. */
const ownTap = /^wt[a-z0-9]{1,13}$/;
const ownBridge = /^wb[a-z0-9]{1,12}$/;

/** The request in a line. Throws an Error that says what is wrong with it. */
export function parseRequest(line: string): HelperRequest {
  const value = JSON.parse(line) as Record<string, unknown>;
  const id = integer(value, 'id', 0, Number.MAX_SAFE_INTEGER);
  switch (value['op']) {
    case 'attach-nic':
      return {
        id,
        op: 'attach-nic',
        nic: parseNic(record(value, 'nic')),
        hostname: text(value, 'hostname', new RegExp(namePattern)),
      };
    case 'detach-nic':
      return { id, op: 'detach-nic', tap: text(value, 'tap', ownTap) };
    case 'adopt-process':
      return { id, op: 'adopt-process', pid: integer(value, 'pid', 2, 2 ** 22) };
    case 'adopt-directory': {
      const path = text(value, 'path', /^\/[^\0\n]{1,1000}$/);
      if (!isAbsolute(path) || normalize(path) !== path || path.split('/').length < 4)
        throw new Error(`path ${path} is not a slot's directory`);
      return { id, op: 'adopt-directory', path };
    }
    case 'undo':
      return { id, op: 'undo' };
    default:
      throw new Error(`op ${JSON.stringify(value['op'])} is not known`);
  }
}

function parseNic(value: Record<string, unknown>): NicPlan {
  const bridge = record(value, 'bridge');
  const gateway = value['gateway'] === undefined ? {} : { gateway: ipv4(value, 'gateway') };
  return {
    network: text(value, 'network', new RegExp(namePattern)),
    mac: text(value, 'mac', new RegExp(macPattern)),
    address: ipv4(value, 'address'),
    prefixLength: integer(value, 'prefixLength', 1, 32),
    ...gateway,
    dns: list(value, 'dns', 4).map(entry => ipv4({ dns: entry }, 'dns')),
    tap: text(value, 'tap', ownTap),
    bridge: {
      name: text(bridge, 'name', ownBridge),
      link: parseLink(record(bridge, 'link')),
      serviceAddress: text(bridge, 'serviceAddress', /^169\.254\.\d{1,3}\.\d{1,3}$/),
      mtu: integer(bridge, 'mtu', 576, 9_216),
    },
  };
}

function parseLink(value: Record<string, unknown>): NicPlan['bridge']['link'] {
  switch (value['kind']) {
    case 'uplink':
      return { kind: 'uplink', interface: text(value, 'interface', new RegExp(interfacePattern)) };
    case 'vxlan':
      return {
        kind: 'vxlan',
        vni: integer(value, 'vni', 1, 16_777_215),
        peers: list(value, 'peers', 4_096).map(peer => ipv4({ peers: peer }, 'peers')),
        port: integer(value, 'port', 1, 65_535),
      };
    case 'isolated':
      return { kind: 'isolated' };
    default:
      throw new Error(`link.kind ${JSON.stringify(value['kind'])} is not known`);
  }
}

function record(from: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = from[key];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${key} is not an object`);
  return value as Record<string, unknown>;
}

function text(from: Record<string, unknown>, key: string, pattern: RegExp): string {
  const value = from[key];
  if (typeof value !== 'string' || !pattern.test(value))
    throw new Error(`${key} ${JSON.stringify(value)} does not match ${pattern.source}`);
  return value;
}

function ipv4(from: Record<string, unknown>, key: string): string {
  const value = text(from, key, /^(\d{1,3}\.){3}\d{1,3}$/);
  if (value.split('.').some(octet => Number(octet) > 255))
    throw new Error(`${key} ${value} is not an IPv4 address`);
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
