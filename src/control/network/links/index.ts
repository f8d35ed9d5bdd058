import { memberOf } from '../../../protocol/member.ts';
import type { NetworkLink } from '../../../protocol/helper-policy.ts';
import type { LinkPlan } from '../../../protocol/plan.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../../protocol/section.ts';
import type { Unchecked } from '../../../protocol/unchecked.ts';
import { isolatedKind } from './isolated.ts';
import type { LinkKind } from './kind.ts';
import { uplinkKind } from './uplink.ts';
import { vxlanKind } from './vxlan.ts';

export { isVxlan } from './vxlan.ts';

/** The table of all members of the family: a new one is its file and its line here. */
const links: readonly LinkKind[] = [uplinkKind, vxlanKind, isolatedKind];

/** A network's link as it is written in the site file: its kind, or an object that has its kind as its only key. */
export type LinkEntry = string | { readonly [kind: string]: unknown };

/** What a network's link may be in the site file. */
export function linkSchemas(kit: SectionKit): SectionSchema[] {
  const { Type, strict } = kit;
  return links.map(link => {
    const section = link.schema?.(kit);
    return section ? Type.Object({ [link.kind]: section }, strict) : Type.Literal(link.kind);
  });
}

/** The member that a link is of. Throws when there is none. */
export function linkKind({ kind }: { readonly kind: string }): LinkKind {
  return memberOf(links, kind, 'link');
}

/** What becomes of a network's link in the site file. `all`: those of all its networks. */
export function readLink(
  entry: LinkEntry,
  addresses: number,
  all: readonly LinkEntry[],
  reader: SectionReader,
): NetworkLink {
  const [kind, written] = partsOf(entry);
  const alike = all.map(partsOf).flatMap(([other, section]) => (other === kind ? [section] : []));
  return linkKind({ kind }).read(written, addresses, alike, reader);
}

function partsOf(entry: LinkEntry): readonly [kind: string, written: unknown] {
  return typeof entry === 'string' ? [entry, undefined] : (Object.entries(entry)[0] ?? ['', undefined]);
}

/** The link of an interface that a pilot asks for. Throws as `Unchecked`: on a key that it does not know, too. */
export function parseLinkPlan(from: Unchecked): LinkPlan {
  const link = linkIn(from);
  return (link.perWorkspace ?? link).parse(from);
}

/** The member that a link from outside is of. Throws as `Unchecked`. */
export function linkIn(from: Unchecked): LinkKind {
  return linkKind({ kind: from.at('kind').oneOf(links.map(({ kind }) => kind)) });
}
