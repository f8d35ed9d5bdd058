import type { SlurmCluster } from '../cluster/slurm.ts';
import { outageSuite } from './suites/outage.ts';

outageSuite('slurm', ({ cluster }) => {
  const { stopController, startController } = cluster as SlurmCluster;
  return { stop: stopController, start: startController };
});
