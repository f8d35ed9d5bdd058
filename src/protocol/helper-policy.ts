import { isDeepStrictEqual } from 'node:util';

/**
 * What root allows the helper on a node, whoever asks: the site file's networks, as JSON, made by
 * `wsp helper-policy` and put on the nodes by `scripts/install-helper --policy`.
 */
export interface HelperPolicy {
  readonly networks: readonly PolicyNetwork[];
  /** Networks, as `10.0.0.0/8`, that have the addresses of all nodes: VXLANs reach nothing else. */
  readonly peers: readonly string[];
}

/** A network whose VMs may be on the node. */
export interface PolicyNetwork {
  readonly name: string;
  /** As `10.90.0.0/16`. */
  readonly subnet: string;
  /** The first and the last address that a VM may have. */
  readonly first: string;
  readonly last: string;
  readonly gateway?: string;
  readonly dns: readonly string[];
  /** The node's own address on the network's bridges. */
  readonly serviceAddress: string;
  readonly link: NetworkLink;
}

/** How VMs reach other nodes. Only the link's file (`control/network/links/`) knows the rest. */
export interface NetworkLink {
  readonly kind: string;
  readonly [part: string]: unknown;
}

/** The first of some networks that the policy does not allow as they are; undefined: it allows them all. */
export function networkMissing(
  policy: HelperPolicy,
  wanted: readonly PolicyNetwork[],
): PolicyNetwork | undefined {
  return wanted.find(network => !policy.networks.some(each => isDeepStrictEqual(each, network)));
}
