import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Cluster } from '../../bench/policies/cluster.ts';
import { syntheticTable } from '../../bench/policies/table.ts';

it('docs/policies.md has the table that make policies prints', () => {
  const page = readFileSync(new URL('../../docs/policies.md', import.meta.url), 'utf8');
  expect(page).toContain(syntheticTable());
});

it('the simulated scheduler is first come, first served, and fills gaps without delaying the first', () => {
  const cluster = new Cluster(4);
  const started: string[] = [];
  const submit = (name: string, nodes: number, walltimeS: number, runS: number, nowS: number): void =>
    cluster.submit(
      {
        nodes,
        walltimeS,
        start: atS => {
          started.push(`${name}@${atS}`);
          return runS;
        },
        ended: () => undefined,
      },
      nowS,
    );
  submit('three', 3, 100, 100, 0);
  // The first in the queue: it has to wait until 100.
  submit('four', 4, 50, 50, 1);
  // One node is free, but this one would delay it.
  submit('late', 1, 200, 200, 2);
  // This one is over by then, though its users asked for no less.
  submit('short', 1, 90, 90, 3);
  while (Number.isFinite(cluster.nextEndS())) cluster.endNext();
  expect(started).toEqual(['three@0', 'short@3', 'four@100', 'late@150']);
  expect(cluster.nodeSeconds).toBe(300 + 90 + 200 + 200);
});
