import type { NetworkLink } from '../../../protocol/helper-policy.ts';
import type { LinkPlan, VxlanPeer } from '../../../protocol/plan.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../../protocol/section.ts';
import type { Unchecked } from '../../../protocol/unchecked.ts';

/** A member, as its file exports it to `index.ts`: how a network reaches other nodes. */
export interface LinkKind {
  /**
   * In the site file it is written as this word, or as this key with what `schema` says; elsewhere
   * it is `kind` in its object.
   */
  readonly kind: string;
  /** Of VMs' interfaces, where the site says nothing else. */
  readonly mtu: number;

  /** What may stand at its key in the site file. Absent: it is written as a word. */
  schema?(kit: SectionKit): SectionSchema;
  /**
   * Of a network that has so many addresses to give out. `written`: what stands at its key; `alike`:
   * in all of the site's networks. `reader`: of the network's `link`.
   */
  read(written: unknown, addresses: number, alike: readonly unknown[], reader: SectionReader): NetworkLink;
  /** Tells why two networks, the other one being at `where`, cannot have these links. */
  compare?(link: NetworkLink, other: NetworkLink, where: string, mistake: SectionReader['mistake']): void;
  /** As it stands in root's policy. Throws as `Unchecked`: on a key that it does not know, too. */
  parse(from: Unchecked): NetworkLink;
  /** What the policy allows with it, for people: `bridged to eth1`. */
  words(link: NetworkLink): string;
  /**
   * Absent: the network has one bridge on a node, a plan has the link as it is, and with that alone
   * the policy allows it.
   */
  readonly perWorkspace?: WorkspaceLink;

  /**
   * What no two VMs on a bridge may differ in, on one line. Bridges that are there are recorded with
   * it: it stays as it is.
   */
  text(plan: LinkPlan): string;
  /**
   * The site's own interface that becomes the bridge's port, and is given back as it was. Such a
   * bridge is everybody's, any other is of the user whose slot has made it.
   */
  takes?(plan: LinkPlan): string;
  /**
   * The type that the bridge's own port is made with, and its options, for ip-link(8). The bridge
   * learns nothing from it.
   */
  makes?(plan: LinkPlan): string;
  /**
   * For `port`, in words of nft(8): rules for what leaves the bridge, and more sets and chains in
   * its table of the family `inet`.
   */
  rules?(plan: LinkPlan, port: string): { readonly out: string; readonly inet: string };
}

/** Of a link that each workspace has for itself, with a bridge of its own on each node. */
export interface WorkspaceLink {
  /** Each workspace draws one of them. */
  numbers(link: NetworkLink): { readonly first: number; readonly last: number };
  /** What a node is told. `number`: the workspace's; `peers`: the other nodes that have VMs of the network. */
  plan(link: NetworkLink, number: number, peers: VxlanPeer[]): LinkPlan;
  /** The plan that a pilot asks for. Throws as `LinkKind.parse`. */
  parse(from: Unchecked): LinkPlan;
  /**
   * What of a plan the policy does not allow, in words; undefined: it allows all of it. `nodes`: the
   * policy's `peers`.
   */
  excess(allowed: NetworkLink, asked: LinkPlan, nodes: readonly string[]): string | undefined;
}
