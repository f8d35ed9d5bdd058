import { orders } from './suites/orders.ts';

orders('slurm');
