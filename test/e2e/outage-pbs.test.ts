import type { PbsCluster } from '../cluster/pbs.ts';
import { outageSuite } from './suites/outage.ts';

outageSuite('openpbs', ({ cluster }) => {
  const { administer } = cluster as PbsCluster;
  return { stop: () => administer('stop-server'), start: () => administer('start-server') };
});
