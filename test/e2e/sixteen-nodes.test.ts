import { sixteenNodes } from './suites/sixteen-nodes.ts';

sixteenNodes('slurm');
