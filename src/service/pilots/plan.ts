import { createHash } from 'node:crypto';
import { isVxlan, linkKind } from '../../control/network/links/index.ts';
import { isFinalVm } from '../../lease/transitions.ts';
import type { AssignedNic, Slot, Vm, Workspace } from '../../lease/model.ts';
import type { NetworkLink } from '../../protocol/helper-policy.ts';
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
  readonly link: NetworkLink;
  /** Null: that of its kind of link. */
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

/** All that a node needs to run this VM. Throws when its network or keys are not there: a bug. */
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
      ...planLink(network, vm.node, ensemble),
      serviceAddress: serviceAddressOf(index),
      mtu: network.mtu ?? linkKind(network.link).mtu,
    },
  };
}

function planLink(
  network: SiteNetwork,
  node: string | null,
  ensemble: Omit<Ensemble, 'secrets'>,
): Pick<BridgePlan, 'name' | 'link'> {
  const { name, link } = network;
  const { id, vnis } = ensemble.workspace;
  const { perWorkspace } = linkKind(link);
  if (!perWorkspace) return { name: bridgeName(name), link };
  const number = vnis[name];
  if (number === undefined) throw new Error(`${id} has no number in ${name}`);
  const plan = perWorkspace.plan(link, number, peersOf(network, node, ensemble));
  return { name: bridgeName(`${id}/${name}`), link: plan };
}

/** The peers that the VXLANs of a workspace have on a node, by their bridges. */
export function planPeers(
  node: string,
  ensemble: Omit<Ensemble, 'secrets'>,
  { networks }: Pick<PlanSite, 'networks'>,
): BridgePeers[] {
  return networks
    .filter(({ name }) => ensemble.workspace.vnis[name] !== undefined)
    .map(network => planLink(network, node, ensemble))
    .flatMap(({ name, link }) => (isVxlan(link) ? [{ bridge: name, peers: link.peers }] : []));
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
