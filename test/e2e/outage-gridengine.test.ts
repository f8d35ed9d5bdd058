import type { GridEngineCluster } from '../cluster/gridengine.ts';
import { outageSuite } from './suites/outage.ts';

outageSuite('gridengine', ({ cluster }) => {
  const { stopMaster, startMaster } = cluster as GridEngineCluster;
  return { stop: stopMaster, start: startMaster };
});
