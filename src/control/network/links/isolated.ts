import type { Unchecked } from '../../../protocol/unchecked.ts';
import type { LinkKind } from './kind.ts';

function parse(from: Unchecked): { readonly kind: 'isolated' } {
  from.object('kind');
  return { kind: 'isolated' };
}

/** The VMs of one node alone: the bridge has no port towards others. */
export const isolatedKind: LinkKind = {
  kind: 'isolated',
  mtu: 1_500,
  perWorkspace: false,
  read: () => ({ kind: 'isolated' }),
  plan: link => link,
  parseLink: parse,
  parsePlan: parse,
  words: () => 'on this node alone',
  excess: () => undefined,
  text: () => 'isolated',
};
