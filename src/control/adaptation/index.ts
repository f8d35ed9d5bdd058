import type { AdaptationKind } from '../../protocol/adaptation.ts';
import type { MakeAdaptation } from './adaptation.ts';
import { noAdaptation } from './none.ts';

/** The members, by the site file's `node.adaptation`: a kind without one does not compile. */
export const adaptations: Readonly<Record<AdaptationKind, MakeAdaptation>> = {
  none: noAdaptation,
};
