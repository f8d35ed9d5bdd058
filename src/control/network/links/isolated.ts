import type { LinkKind } from './kind.ts';

/** The VMs of one node alone: the bridge has no port towards others. */
export const isolatedKind: LinkKind = {
  kind: 'isolated',
  mtu: 1_500,
  read: () => ({ kind: 'isolated' }),
  parse(from) {
    from.object('kind');
    return { kind: 'isolated' };
  },
  words: () => 'on this node alone',
  text: () => 'isolated',
};
