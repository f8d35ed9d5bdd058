import { virtualClusters } from './suites/virtual-clusters.ts';

virtualClusters({ lrm: 'slurm', name: 'Slurm', hold: ['--hold'], heldReason: /held by its user/ });
