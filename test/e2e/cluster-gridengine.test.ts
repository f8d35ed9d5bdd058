import { orders } from './suites/orders.ts';
import { virtualClusters } from './suites/virtual-clusters.ts';

virtualClusters({ lrm: 'gridengine', name: 'Grid Engine', hold: ['-h'], heldReason: /the job is held/ });
orders('gridengine');
