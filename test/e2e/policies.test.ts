import { policies } from './suites/policies.ts';

policies('slurm');
