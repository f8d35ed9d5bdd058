/**
 * The ways to adapt a node for hosting VMs: the site file's `node.adaptation`. Their members are in
 * `src/control/adaptation/`.
 */
export const adaptationKinds = ['none'] as const;
export type AdaptationKind = (typeof adaptationKinds)[number];
