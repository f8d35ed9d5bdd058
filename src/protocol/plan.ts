import Type from 'typebox';
import { UserData } from './cluster.ts';
import { interfacePattern, macPattern, namePattern, vmIdPattern, workspaceIdPattern } from './ids.ts';

/**
 * The plan of one VM: everything that a node needs to run it, complete before the command is sent, so that a node
 * asks nobody anything. Made by placement in the service, carried out by control.
 */

const Ipv4 = Type.String({ pattern: '^(\\d{1,3}\\.){3}\\d{1,3}$' });

/**
 * Another node of a VXLAN: its address on the site network, and the MACs of the network's VMs that
 * are there. VXLANs learn nothing from what they receive, which anybody on the site network may
 * have sent: they know what the service says.
 */
export const VxlanPeer = Type.Object({
  address: Ipv4,
  macs: Type.Array(Type.String({ pattern: macPattern }), { maxItems: 4_096 }),
});
export type VxlanPeer = Type.Static<typeof VxlanPeer>;

/** The peers of a bridge's VXLAN, all of them. */
export const BridgePeers = Type.Object({
  bridge: Type.String({ pattern: interfacePattern }),
  peers: Type.Array(VxlanPeer, { maxItems: 4_096 }),
});
export type BridgePeers = Type.Static<typeof BridgePeers>;

/** How a network reaches other nodes. Only its kind (`control/network/links/`) knows the rest. */
export interface LinkPlan {
  readonly kind: string;
  readonly [part: string]: unknown;
}

export const BridgePlan = Type.Object({
  /** The bridge's interface name on the node; the same for all VMs of the network on that node. */
  name: Type.String({ pattern: interfacePattern }),
  link: Type.Unsafe<LinkPlan>(Type.Object({ kind: Type.String() })),
  /**
   * The node's own address on the bridge: link-local, the same on every node and filtered off every link, so it costs no
   * address of the network. DHCP answers and `wsp ssh` come from it.
   */
  serviceAddress: Ipv4,
  mtu: Type.Integer({ minimum: 576, maximum: 9_216 }),
});
export type BridgePlan = Type.Static<typeof BridgePlan>;

export const NicPlan = Type.Object({
  network: Type.String({ pattern: namePattern }),
  mac: Type.String({ pattern: macPattern }),
  address: Ipv4,
  prefixLength: Type.Integer({ minimum: 1, maximum: 32 }),
  gateway: Type.Optional(Ipv4),
  dns: Type.Array(Ipv4, { maxItems: 4 }),
  /** The tap's interface name, unique on the node. */
  tap: Type.String({ pattern: interfacePattern }),
  bridge: BridgePlan,
});
export type NicPlan = Type.Static<typeof NicPlan>;

/** A VM's SSH host key: OpenSSH private key text, and the public line `ssh-ed25519 AAAA…`. */
export const KeyPair = Type.Object({ privateKey: Type.String(), publicKey: Type.String() });
export type KeyPair = Type.Static<typeof KeyPair>;

/** Deployment-time configuration of a VM (paper §3.3): complete for the whole ensemble before boot. */
export const ContextPlan = Type.Object({
  hostname: Type.String({ pattern: namePattern }),
  workspace: Type.String(),
  roles: Type.Array(Type.String({ pattern: namePattern }), { maxItems: 16 }),
  /** Public keys that may log in as root (or as the image's default user). */
  authorizedKeys: Type.Array(Type.String({ maxLength: 8_192 }), { maxItems: 64 }),
  hostKey: KeyPair,
  /** A key pair of the ensemble alone: lets its VMs reach each other. */
  clusterKey: KeyPair,
  /** Every VM of the ensemble, this one too: names and addresses for /etc/hosts, host keys for known_hosts. */
  hosts: Type.Array(
    Type.Object({
      name: Type.String({ pattern: namePattern }),
      /** Preferred address first: a network that the ensemble shares before others. */
      addresses: Type.Array(Ipv4),
      hostPublicKey: Type.String(),
    }),
    { maxItems: 4_096 },
  ),
  userData: Type.Optional(UserData),
});
export type ContextPlan = Type.Static<typeof ContextPlan>;

/** Where a node finds an image.: a directory that all nodes can read. */
export const ImagePlan = Type.Object({
  name: Type.String({ pattern: namePattern }),
  /** Absolute path of the image's directory; `image.json` in it is the manifest. */
  directory: Type.String(),
});
export type ImagePlan = Type.Static<typeof ImagePlan>;

export const VmPlan = Type.Object({
  vmId: Type.String({ pattern: vmIdPattern }),
  workspaceId: Type.String({ pattern: workspaceIdPattern }),
  name: Type.String({ pattern: namePattern }),
  image: ImagePlan,
  memoryMiB: Type.Integer({ minimum: 16 }),
  cpus: Type.Integer({ minimum: 1 }),
  nics: Type.Array(NicPlan, { maxItems: 8 }),
  context: ContextPlan,
  /** A VM whose guest has not reported its context by then has failed. */
  contextTimeoutMs: Type.Integer({ minimum: 1_000 }),
});
export type VmPlan = Type.Static<typeof VmPlan>;
