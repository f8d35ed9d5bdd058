import { guides } from './suites/guide.ts';

guides('gridengine');
