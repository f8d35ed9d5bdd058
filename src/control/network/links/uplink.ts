import { interfacePattern } from '../../../protocol/ids.ts';
import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { Unchecked } from '../../../protocol/unchecked.ts';
import type { LinkKind } from './kind.ts';

const aName = 'the name of a network interface';

const schema = ({ Type }: SectionKit) => Type.String({ pattern: interfacePattern, description: aName });

type Uplink = { readonly kind: 'uplink'; readonly interface: string };

function parse(from: Unchecked): Uplink {
  const { interface: name } = from.object('kind', 'interface');
  return { kind: 'uplink', interface: name.text(interfacePattern, aName) };
}

/** VMs are bridged to an interface of their node: the site's own network. */
export const uplinkKind: LinkKind = {
  kind: 'uplink',
  mtu: 1_500,
  perWorkspace: false,
  schema,
  read: (written: EntryOf<typeof schema>): Uplink => ({ kind: 'uplink', interface: written }),
  clash: (link: Uplink, other: Uplink, where) =>
    link.interface === other.interface
      ? {
          key: 'uplink',
          message: `${link.interface} is the uplink of ${where} too: an interface is in one bridge only`,
        }
      : undefined,
  plan: link => link,
  parseLink: parse,
  parsePlan: parse,
  words: (allowed: Uplink) => `bridged to ${allowed.interface}`,
  excess: (allowed: Uplink, asked: Uplink) =>
    asked.interface === allowed.interface ? undefined : `the uplink ${JSON.stringify(asked.interface)}`,
  text: (link: Uplink) => `uplink ${link.interface}`,
  takes: (link: Uplink) => link.interface,
};
