import { leases } from './suites/leases.ts';

// In the words of Slurm 22.05.
leases({
  lrm: 'slurm',
  noMoreTime: /the batch scheduler gives it no more time: Slurm: Access\/permission denied/,
  waits: /it waits for nodes|before it|Slurm says/,
});
