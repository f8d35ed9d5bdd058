import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { statIfThere } from '../../platform/stat.ts';
import { type HelperPolicy, networkMissing, type PolicyNetwork } from '../../protocol/helper-policy.ts';
import { ipv4ToNumber } from '../../protocol/ipv4.ts';
import type { LinkPlan, NicPlan, VxlanPeer } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';
import { linkKind } from '../network/links/index.ts';
import { strangerAmong } from '../network/links/vxlan.ts';
import { subnetOf } from '../network/subnet.ts';
import { parseHelperPolicy } from './policy-document.ts';
import { requireRootsAlone } from './root-directory.ts';
import { messageOf } from '../../platform/message-of.ts';

/** Root's policy on this node. Throws when it is not there, not root's alone, or has a mistake. */
export function readPolicy(path: string): HelperPolicy {
  const there = statIfThere(path);
  if (!there)
    throw new Error(
      `there is no policy ${path}: scripts/install-helper --policy puts it there (docs/admin/helper.md)`,
    );
  if (there.uid !== 0 || (there.mode & 0o022) !== 0)
    throw new Error(`${path} can be changed by others than root: chown root:root, chmod 0644`);
  requireRootsAlone('the policy', dirname(path));
  try {
    return parseHelperPolicy(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new Error(`${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Throws `ControlError` `not_allowed` when root does not allow that interface on this node. */
export function requireAllowed(policy: HelperPolicy, nic: NicPlan): void {
  const network = policy.networks.find(({ name }) => name === nic.network);
  if (!network) throw refused(`a network ${nic.network}`);
  const subnet = subnetOf(nic);
  if (subnet !== network.subnet) throw refused(`the subnet ${subnet} in network ${nic.network}`);
  const address = ipv4ToNumber(nic.address);
  if (address < ipv4ToNumber(network.first) || address > ipv4ToNumber(network.last))
    throw refused(`the address ${nic.address} in network ${nic.network}`);
  // Else everybody on this node would be led to that VM.
  if (policy.networks.some(({ gateway, dns }) => [gateway, ...dns].includes(nic.address)))
    throw refused(`the address ${nic.address}, which is a gateway's or a name server's,`);
  if (nic.gateway !== undefined && nic.gateway !== network.gateway)
    throw refused(`the gateway ${nic.gateway} in network ${nic.network}`);
  const dns = nic.dns.find(each => !network.dns.includes(each));
  if (dns !== undefined) throw refused(`the name server ${dns} in network ${nic.network}`);
  if (nic.bridge.serviceAddress !== network.serviceAddress)
    throw refused(`the service address ${nic.bridge.serviceAddress} in network ${nic.network}`);
  requireLink(policy, network, nic.bridge.link);
}

function requireLink(policy: HelperPolicy, { name, link: allowed }: PolicyNetwork, asked: LinkPlan): void {
  const { perWorkspace } = linkKind(allowed);
  const isOfKind = perWorkspace ? asked.kind === allowed.kind : isDeepStrictEqual(asked, allowed);
  if (!isOfKind) throw refused(`network ${name} with the link ${JSON.stringify(asked).slice(0, 100)}`);
  const excess = perWorkspace?.excess(allowed, asked, policy.peers);
  if (excess !== undefined) throw refused(`${excess} in network ${name}`);
}

/** Throws `ControlError` `not_allowed` when a network of the site is not allowed as the site has it. */
export function requireNetworks(policy: HelperPolicy, networks: readonly PolicyNetwork[]): void {
  const missing = networkMissing(policy, networks);
  if (missing) throw refused(`network ${missing.name} as the site file has it`);
}

/** Throws `ControlError` `not_allowed` when one of them is no node of the site. */
export function requirePeers(policy: HelperPolicy, peers: readonly VxlanPeer[]): void {
  const stranger = strangerAmong(peers, policy.peers);
  if (stranger) throw refused(`VXLAN traffic to ${stranger.address}`);
}

function refused(what: string): ControlError {
  return new ControlError(
    'not_allowed',
    `root's policy on this node does not allow ${what} (docs/admin/helper.md: the policy)`,
  );
}
