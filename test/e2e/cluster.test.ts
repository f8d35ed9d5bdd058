import { virtualClusters } from './suites/virtual-clusters.ts';

virtualClusters({
  lrm: 'slurm',
  name: 'Slurm',
  hold: ['--begin=2037-01-01T01:01'],
  heldReason: /earliest start has not been reached/,
});
