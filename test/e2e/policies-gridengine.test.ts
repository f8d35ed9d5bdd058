import { policies } from './suites/policies.ts';

policies('gridengine');
