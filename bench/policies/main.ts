/**
 * `make policies [TRACE=file.swf.gz]`: what each policy costs and brings, on a simulated cluster, as the tables of docs/policies.md. The trace, in Standard Workload
 * Format, is read where it is; without one only the synthetic workload is run.
 */
import { parseArgs } from 'node:util';
import { syntheticTable, traceTable } from './table.ts';

const { values } = parseArgs({ options: { trace: { type: 'string' } } });
if (values.trace !== undefined) console.log(`${traceTable(values.trace)}\n`);
console.log(syntheticTable());
