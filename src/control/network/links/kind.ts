import type { NetworkLink } from '../../../protocol/helper-policy.ts';
import type { LinkPlan, VxlanPeer } from '../../../protocol/plan.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../../protocol/section.ts';
import type { Unchecked } from '../../../protocol/unchecked.ts';

/** What a link goes by of its network in the site file. */
export interface LinkSite {
  /** How many addresses the network has to give out. */
  readonly addresses: number;
  /** What stands at this kind of link in each of the site's networks, this one too. */
  readonly alike: readonly unknown[];
}

/** What a link goes by of the workspace whose VM is planned. */
export interface LinkWorkspace {
  /** The one of the link's `numbers` that it has drawn. Throws when it has none. */
  number(): number;
  /** The other nodes that have VMs of the network. */
  peers(): VxlanPeer[];
}

/** The port that a link makes for its bridge, in words of ip-link(8). */
export interface MadePort {
  /** What it is made as: its `type`, and the options of that. */
  readonly type: string;
  /** Its options as a port, once it is on the bridge. */
  readonly onBridge: string;
}

/** What a link adds to the rules of its bridge (`filter.ts`), in words of nft(8). */
export interface LinkRules {
  /** Rules for what leaves the bridge. */
  readonly out: string;
  /** Sets and chains in the bridge's table of the family `inet`. */
  readonly inet: string;
}

/**
 * A member of the family, as its file exports it to the table in `index.ts`: how a network reaches
 * other nodes. Its form in the site file, the plan that a node gets of it, what root's policy says of
 * it, and what it is on a node.
 */
export interface LinkKind {
  /** In the site file it is written as this word, or as this key with what `schema` says; elsewhere it is `kind` in its object. */
  readonly kind: string;
  /** Of VMs' interfaces, where the site says nothing else. */
  readonly mtu: number;
  /** Each workspace has a bridge of its own on a node; otherwise the network has one. */
  readonly perWorkspace: boolean;

  /** What may stand at its key in the site file. Absent: it is written as a word. */
  schema?(kit: SectionKit): SectionSchema;
  /** `written`: what stands at its key. `reader`: of the network's `link`. */
  read(written: unknown, site: LinkSite, reader: SectionReader): NetworkLink;
  /** Why two networks cannot have these links, and at which key of the first one's; undefined: they can. `where`: the second. */
  clash?(
    link: NetworkLink,
    other: NetworkLink,
    where: string,
  ): { readonly key: string; readonly message: string } | undefined;
  /** Of which each workspace draws one for itself. */
  numbers?(link: NetworkLink): { readonly first: number; readonly last: number };

  /** What a node is told of it. */
  plan(link: NetworkLink, workspace: LinkWorkspace): LinkPlan;

  /** The link of a network in root's policy. Throws as `Unchecked`: on a key that it does not know, too. */
  parseLink(from: Unchecked): NetworkLink;
  /** The link of an interface that a pilot asks for. Throws as `parseLink`. */
  parsePlan(from: Unchecked): LinkPlan;
  /** What the policy allows with it, for people: `bridged to eth1`. */
  words(allowed: NetworkLink): string;
  /** What of a plan of this kind the policy does not allow, in words; undefined: it allows all of it. `nodes`: the policy's `peers`. */
  excess(allowed: NetworkLink, asked: LinkPlan, nodes: readonly string[]): string | undefined;

  /** What no two VMs on a bridge may differ in, on one line. Bridges that are there are recorded with it: it stays as it is. */
  text(link: LinkPlan): string;
  /**
   * The site's own interface that becomes the bridge's port, and is given back as it was. Such a
   * bridge is everybody's, any other is of the user whose slot has made it.
   */
  takes?(link: LinkPlan): string;
  port?(link: LinkPlan): MadePort;
  /** `port`: the interface that the bridge has as its port. */
  rules?(link: LinkPlan, port: string): LinkRules;
}
