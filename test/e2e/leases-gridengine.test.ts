import { leases } from './suites/leases.ts';

leases({
  lrm: 'gridengine',
  noMoreTime: /the batch scheduler gives it no more time: Grid Engine/,
  waits: /it waits for nodes|before it|Grid Engine says/,
});
