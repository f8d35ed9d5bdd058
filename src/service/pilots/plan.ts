import { createHash } from 'node:crypto';
import { isFinalVm } from '../../lease/transitions.ts';
import type { AssignedNic, Slot, Vm, Workspace } from '../../lease/model.ts';
import type {
  BridgePlan,
  ContextPlan,
  BridgePeers,
  NicPlan,
  VmPlan,
  VxlanPeer,
} from '../../protocol/plan.ts';
import type { WorkspaceSecrets } from '../core/secrets.ts';

/** A network of the site file, with its defaults filled in. */
export interface SiteNetwork {
  readonly name: string;
  readonly prefixLength: number;
  readonly firstAddress: string;
  readonly gateway: string | null;
  readonly dns: readonly string[];
  readonly link:
    | { readonly kind: 'uplink'; readonly interface: string }
    /**
     * The VNIs of the workspaces' networks are drawn from these: no other network may have one of
     * them.
     */
    | {
        readonly kind: 'vxlan';
        readonly firstVni: number;
        readonly lastVni: number;
        readonly port: number;
      }
    | { readonly kind: 'isolated' };
  /** Null: 1500, or 1450 inside a VXLAN. */
  readonly mtu: number | null;
}

/** What plans take from the site. */
export interface PlanSite {
  /** In the order of the site file: a network's place gives its service address. */
  readonly networks: readonly SiteNetwork[];
  /** Absolute path of an image's directory, the same on every node. */
  readonly imageDirectory: (image: string) => string;
  readonly contextTimeoutMs: number;
}

/** The ensemble that a VM belongs to. `vms`: all of the workspace's, in their order. */
export interface Ensemble {
  readonly workspace: Workspace;
  readonly vms: readonly Vm[];
  readonly slot: Slot;
  readonly secrets: WorkspaceSecrets;
}

const defaultMtu = 1_500;
/** Ethernet inside IPv4, UDP and VXLAN headers: 50 bytes less (RFC 7348). */
const vxlanMtu = 1_450;

/** All that a node needs to run this VM. Pure. Throws when the VM's network or keys are not there: the core has let in what it must not. */
export function planVm(vm: Vm, ensemble: Ensemble, site: PlanSite): VmPlan {
  return {
    vmId: vm.id,
    workspaceId: vm.workspaceId,
    name: vm.name,
    image: { name: vm.image, directory: site.imageDirectory(vm.image) },
    memoryMiB: vm.memoryMiB,
    cpus: vm.cpus,
    nics: vm.nics.map(nic => planNic(nic, vm, ensemble, site)),
    context: planContext(vm, ensemble),
    contextTimeoutMs: site.contextTimeoutMs,
  };
}

/** The nodes' own address on the bridges of the network that has this place in the site file. */
export function serviceAddressOf(index: number): string {
  return `169.254.${100 + index}.1`;
}

function planNic(nic: AssignedNic, vm: Vm, ensemble: Ensemble, site: PlanSite): NicPlan {
  const index = site.networks.findIndex(({ name }) => name === nic.network);
  const network = site.networks[index];
  if (!network) throw new Error(`${vm.id} has an interface in ${nic.network}, which the site has no more`);
  return {
    network: nic.network,
    mac: nic.mac,
    address: nic.address,
    prefixLength: network.prefixLength,
    ...(network.gateway === null ? {} : { gateway: network.gateway }),
    dns: [...network.dns],
    tap: nic.tap,
    bridge: {
      ...planLink(network, vm, ensemble),
      serviceAddress: serviceAddressOf(index),
      mtu: network.mtu ?? (network.link.kind === 'vxlan' ? vxlanMtu : defaultMtu),
    },
  };
}

function planLink(network: SiteNetwork, vm: Vm, ensemble: Ensemble): Pick<BridgePlan, 'name' | 'link'> {
  const { link } = network;
  if (link.kind === 'isolated') return { name: bridgeName(network.name), link: { kind: 'isolated' } };
  if (link.kind === 'uplink')
    return { name: bridgeName(network.name), link: { kind: 'uplink', interface: link.interface } };
  const vni = ensemble.workspace.vnis[network.name];
  if (vni === undefined) throw new Error(`${vm.workspaceId} has no VNI in ${network.name}`);
  return {
    name: vxlanBridgeName(ensemble.workspace, network),
    link: { kind: 'vxlan', vni, peers: peersOf(network, vm.node, ensemble), port: link.port },
  };
}

/** The peers that the VXLANs of a workspace have on a node, by their bridges. */
export function planPeers(
  node: string,
  ensemble: Omit<Ensemble, 'secrets'>,
  { networks }: Pick<PlanSite, 'networks'>,
): BridgePeers[] {
  return networks
    .filter(({ name, link }) => link.kind === 'vxlan' && ensemble.workspace.vnis[name] !== undefined)
    .map(network => ({
      bridge: vxlanBridgeName(ensemble.workspace, network),
      peers: peersOf(network, node, ensemble),
    }));
}

/** The other nodes that have VMs of the network: a node without one takes no part in it. */
function peersOf(
  network: SiteNetwork,
  node: string | null,
  { vms, slot }: Pick<Ensemble, 'vms' | 'slot'>,
): VxlanPeer[] {
  return slot.nodes.flatMap(({ name, address }) => {
    const macs = vms
      .filter(vm => vm.node === name && !isFinalVm(vm.state))
      .flatMap(({ nics }) => nics.filter(nic => nic.network === network.name).map(({ mac }) => mac));
    return name === node || address === null || macs.length === 0 ? [] : [{ address, macs }];
  });
}

/** A bridge of this workspace alone. */
function vxlanBridgeName({ id }: Workspace, { name }: SiteNetwork): string {
  return bridgeName(`${id}/${name}`);
}

/** `wb` and eight hexadecimal digits: fits IFNAMSIZ, and the same name means the same network on every node. */
function bridgeName(of: string): string {
  return `wb${createHash('sha256').update(of).digest('hex').slice(0, 8)}`;
}

function planContext(vm: Vm, { workspace, vms, secrets }: Ensemble): ContextPlan {
  const group = workspace.groups.find(({ name }) => name === vm.group);
  const userData = secrets.request.groups.find(({ name }) => name === vm.group)?.userData;
  const shared = sharedNetworks(vms);
  return {
    hostname: vm.name,
    workspace: workspace.name,
    roles: [...(group?.roles ?? [])],
    authorizedKeys: [...(secrets.request.sshKeys ?? [])],
    hostKey: hostKeyOf(vm, secrets),
    clusterKey: secrets.clusterKey,
    hosts: vms.map(host => ({
      name: host.name,
      addresses: [
        ...host.nics.filter(nic => shared.has(nic.network)),
        ...host.nics.filter(nic => !shared.has(nic.network)),
      ].map(nic => nic.address),
      hostPublicKey: hostKeyOf(host, secrets).publicKey,
    })),
    ...(userData === undefined ? {} : { userData }),
  };
}

/** The networks that every VM is in: an address there is one that all of the ensemble can reach. */
function sharedNetworks(vms: readonly Vm[]): ReadonlySet<string> {
  const [first, ...others] = vms.map(({ nics }) => nics.map(({ network }) => network));
  return new Set(first?.filter(network => others.every(networks => networks.includes(network))));
}

function hostKeyOf(vm: Vm, secrets: WorkspaceSecrets): ContextPlan['hostKey'] {
  const key = secrets.hostKeys[vm.name];
  if (!key) throw new Error(`${vm.id} has no host key`);
  return key;
}
