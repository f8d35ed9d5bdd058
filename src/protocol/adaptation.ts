/** The site file's `node.adaptation`: how nodes are adapted for VMs (`src/control/adaptation/`). */
export const adaptationKinds = ['none'] as const;
export type AdaptationKind = (typeof adaptationKinds)[number];
