import { interfacePattern } from '../../../protocol/ids.ts';
import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { LinkKind } from './kind.ts';

const aName = 'the name of a network interface';
const schema = ({ Type }: SectionKit) => Type.String({ pattern: interfacePattern, description: aName });

type Uplink = { readonly kind: 'uplink'; readonly interface: string };

/** VMs are bridged to an interface of their node: the site's own network. */
export const uplinkKind: LinkKind = {
  kind: 'uplink',
  mtu: 1_500,
  schema,
  read: (written: EntryOf<typeof schema>): Uplink => ({ kind: 'uplink', interface: written }),
  compare({ interface: name }: Uplink, other: Uplink, where, mistake) {
    if (name !== other.interface) return;
    mistake('uplink', `${name} is the uplink of ${where} too: an interface is in one bridge only`);
  },
  parse(from): Uplink {
    const { interface: name } = from.object('kind', 'interface');
    return { kind: 'uplink', interface: name.text(interfacePattern, aName) };
  },
  words: (link: Uplink) => `bridged to ${link.interface}`,
  text: (plan: Uplink) => `uplink ${plan.interface}`,
  takes: (plan: Uplink) => plan.interface,
};
