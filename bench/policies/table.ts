import type { Policy } from '../../src/lease/policies/index.ts';
import { node, type Outcome, runWorkload } from './run.ts';
import { lublin, readSwf, type Wish } from './workload.ts';

const nodes = 128;
const seed = 1;
const reuse = (minutes: number): Policy => ({
  kind: 'reuse',
  keepMs: minutes * 60_000,
  factor: 2,
  vmsPerNode: 1,
  shared: false,
});
const warm = (slots: number, ofNodes: number): Policy => ({
  kind: 'warm',
  slots,
  nodes: ofNodes,
  memoryMiBPerNode: node.memoryMiB,
  cpusPerNode: node.cpus,
  durationMs: 4 * 3_600_000,
  vmsPerNode: 1,
  shared: false,
});
const policies: readonly (readonly [string, Policy])[] = [
  ['`exact`', { kind: 'exact' }],
  ['`pack`, 2 a node', { kind: 'pack', vmsPerNode: 2 }],
  ['`pack`, 4 a node', { kind: 'pack', vmsPerNode: 4 }],
  ['`extendable`, 1.5', { kind: 'extendable', factor: 1.5 }],
  ['`extendable`, 2', { kind: 'extendable', factor: 2 }],
  ['`reuse`, kept 10 min', reuse(10)],
  ['`reuse`, kept 1 h', reuse(60)],
  ['`warm`, 4 of 1 node', warm(4, 1)],
  ['`warm`, 4 of 8 nodes', warm(4, 8)],
];

const hours = (seconds: number): string => (seconds / 3_600).toFixed(2);

function row(name: string, outcome: Outcome): string {
  const cells = [
    name,
    `${(outcome.utilisation * 100).toFixed(1)} %`,
    `${hours(outcome.meanWaitS)} h`,
    `${hours(outcome.meanResponseS)} h`,
    Math.round(outcome.heldNodeHours).toLocaleString('en'),
    Math.round(outcome.wastedNodeHours).toLocaleString('en'),
    String(outcome.tooShort),
  ];
  return `| ${cells.join(' | ')} |`;
}

function tableOf(wishes: readonly Wish[]): string {
  return [
    '| policy | processors at work | wait | response | node-hours held | of these wasted | leases too short |',
    '|---|---|---|---|---|---|---|',
    ...policies.map(([name, policy]) => row(name, runWorkload(wishes, policy, nodes))),
  ].join('\n');
}

/** The table of a trace in Standard Workload Format, under a heading. */
export function traceTable(path: string): string {
  const wishes = readSwf(path, seed);
  return `Trace ${path.replace(/.*\//, '')}, ${wishes.length} requests, ${nodes} nodes:\n\n${tableOf(wishes)}`;
}

/** The table of the synthetic workload, under a heading. */
export function syntheticTable(): string {
  const wishes = lublin(10_000, nodes, 0.75, seed);
  return `Lublin and Feitelson, ${wishes.length} requests, offered load 0.75 at one VM per node, ${nodes} nodes:\n\n${tableOf(wishes)}`;
}
