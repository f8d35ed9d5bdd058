import { resolve } from 'node:path';
import { namePattern } from '../../protocol/ids.ts';
import type { PolicyNetwork } from '../../protocol/helper-policy.ts';
import { excessIn } from '../../protocol/json.ts';
import type { NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { Unchecked } from '../../protocol/unchecked.ts';
import { protocols } from '../../protocol/versions.ts';
import { parseLinkPlan } from '../network/links/index.ts';
import { parsePeers } from '../network/links/vxlan.ts';
import { parsePolicyNetworks } from './policy-document.ts';
import { messageOf } from '../../platform/message-of.ts';

/**
 * What a pilot may ask of the helper: one JSON object a line. The helper is root and the pilot is
 * not, so everything is checked here, by hand (`Unchecked`), before it becomes part of a command or
 * a rule.
 */
export type HelperRequest = { readonly id: number } & HelperOperation;

/** A request without its id. */
export type HelperOperation =
  | { readonly op: 'attach-nic'; readonly nic: NicPlan; readonly hostname: string }
  | { readonly op: 'detach-nic'; readonly tap: string }
  | { readonly op: 'set-peers'; readonly bridge: string; readonly peers: readonly VxlanPeer[] }
  | { readonly op: 'adopt-process'; readonly pid: number }
  | { readonly op: 'adopt-directory'; readonly path: string }
  | { readonly op: 'check-networks'; readonly networks: readonly PolicyNetwork[] }
  | { readonly op: 'undo' };

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
/** A name that ends with x is of a bridge's own port (`network/bridge.ts`), and goes with it. */
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
    const request = new Unchecked(JSON.parse(line));
    id = request.at('id').integer(1, Number.MAX_SAFE_INTEGER);
    return { id, ...parseOperation(request) };
  } catch (cause) {
    const message = messageOf(cause);
    throw new BadRequest(id, message.slice(0, longestMessage));
  }
}

function parseOperation(request: Unchecked): HelperOperation {
  const { value: op } = request.at('op');
  switch (op) {
    case 'attach-nic': {
      const { nic, hostname } = request.object('id', 'op', 'nic', 'hostname');
      return { op, nic: parseNic(nic), hostname: hostname.text(namePattern, 'a name') };
    }
    case 'detach-nic':
      return { op, tap: parseTap(request.object('id', 'op', 'tap').tap) };
    case 'set-peers': {
      const { bridge, peers } = request.object('id', 'op', 'bridge', 'peers');
      return { op, bridge: parseBridge(bridge), peers: parsePeers(peers) };
    }
    case 'adopt-process':
      return { op, pid: request.object('id', 'op', 'pid').pid.integer(2, 2 ** 22) };
    case 'adopt-directory': {
      const path = request.object('id', 'op', 'path').path.text(/^\/[^\0\n]{1,1000}$/, 'an absolute path');
      // A slash at its end would have the system follow a link that stands there.
      if (resolve(path) !== path || path.split('/').length < 4)
        throw new Error(`path ${path} is not a slot's directory`);
      return { op, path };
    }
    case 'check-networks':
      return { op, networks: parsePolicyNetworks(request.object('id', 'op', 'networks').networks) };
    case 'undo':
      request.object('id', 'op');
      return { op };
    default:
      throw new Error(`op ${JSON.stringify(op)} is not known`);
  }
}

function parseNic(from: Unchecked): NicPlan {
  const { network, mac, address, prefixLength, gateway, dns, tap, bridge } = from.object(
    ...(['network', 'mac', 'address', 'prefixLength', 'gateway', 'dns', 'tap', 'bridge'] as const),
  );
  const { name, link, serviceAddress, mtu } = bridge.object('name', 'link', 'serviceAddress', 'mtu');
  return {
    network: network.text(namePattern, 'a name'),
    mac: mac.mac(),
    address: address.host(),
    prefixLength: prefixLength.integer(1, 32),
    ...(gateway.value === undefined ? {} : { gateway: gateway.host() }),
    dns: dns.list(4).map(each => each.ipv4()),
    tap: parseTap(tap),
    bridge: {
      name: parseBridge(name),
      link: parseLinkPlan(link),
      serviceAddress: parseLinkLocal(serviceAddress),
      mtu: mtu.integer(576, 9_216),
    },
  };
}

function parseTap(from: Unchecked): string {
  return from.text(ownTap, 'the name of one of our taps, wt…');
}

function parseBridge(from: Unchecked): string {
  return from.text(ownBridge, 'the name of one of our bridges, wb…');
}

function parseLinkLocal(from: Unchecked): string {
  const address = from.ipv4();
  return address.startsWith('169.254.') ? address : from.mustBe('a link-local address');
}
