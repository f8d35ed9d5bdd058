import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DryRunView, TypesView, WorkspaceView } from '../../src/protocol/api.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** Policies other than `exact`, on a real Slurm with real guests. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 2,
    more: { policy: { kind: 'pack', vmsPerNode: 2 } },
  });
});
afterAll(() => site?.stop());

describe('pack', () => {
  it('runs several guests on a node, which reach each other there and across nodes, and leaves nothing', async () => {
    expect((await site.json<TypesView>(['types'])).policy).toBe('pack');
    const create = ['create', '--image', 'mini', '--memory', '160M', '--count', '3', '--name', 'packed'];
    const { slot } = await site.json<DryRunView>([...create, '--dry-run']);
    expect(slot).toMatchObject({ nodes: 2, cpusPerNode: 2 });
    const { vms } = await site.json<WorkspaceView>([...create, '--wait']);
    const nodes = vms.map(({ node }) => node);
    expect(nodes[0]).toBe(nodes[1]);
    expect(nodes[2]).not.toBe(nodes[0]);
    for (const [from, to] of [
      ['vm-0', 'vm-1'],
      ['vm-0', 'vm-2'],
      ['vm-2', 'vm-1'],
    ] as const) {
      const reached = await site.wsp(['ssh', `packed/${from}`, '--', 'ssh', to, 'hostname']);
      expect([from, reached.stdout.trim()]).toEqual([from, to]);
    }
    await site.json(['destroy', 'packed', '--wait']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  }, 180_000);
});
