import { orders } from './suites/orders.ts';
import { virtualClusters } from './suites/virtual-clusters.ts';

virtualClusters({
  lrm: 'gridengine',
  name: 'Grid Engine',
  hold: ['-a', '203701010000'],
  heldReason: /not to start before/,
});
orders('gridengine');
