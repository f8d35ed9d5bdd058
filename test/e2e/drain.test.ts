import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EventView, WorkspaceView } from '../../src/protocol/api.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** An administrator drains a node of a real Slurm, on a site whose leases leave it. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({ lrm: 'slurm', nodes: 2, vmm: { kind: 'sim' }, leases: { drain: 'leave' } });
});
afterAll(() => site?.stop());

const setNode = async (node: string, ...what: string[]): Promise<void> => {
  const done = await site.cluster?.run(['scontrol', 'update', `NodeName=${node}`, ...what]);
  expect(done).toMatchObject({ code: 0 });
};

it('a lease leaves a node that is drained: it ends as preempted, in the words of the administrator, and nothing is left', async () => {
  const create = [
    'create',
    '--image',
    'mini',
    '--memory',
    '128M',
    '--count',
    '2',
    '--name',
    'moved',
    '--wait',
  ];
  const running = await site.json<WorkspaceView>(create);
  const node = running.vms[0]?.node ?? '';
  await setNode(node, 'State=DRAIN', 'Reason=kernel | update');
  const ended = await site.json<WorkspaceView>(['wait', 'moved', '--for', 'ended', '--timeout', '60s']);
  expect(ended).toMatchObject({
    cause: 'preempted',
    reason: {
      code: 'node_drained',
      message: `node ${node}: an administrator drains it: kernel | update`,
    },
  });
  const { events } = await site.json<{ events: EventView[] }>(['events', running.id]);
  const types = events.map(({ type }) => type);
  expect(types.filter(type => type === 'node.draining')).toHaveLength(1);
  // Both guests were told to shut down.
  expect(types.filter(type => type === 'vm.terminated')).toHaveLength(2);
  expect(await site.leftovers()).toEqual([]);
  // Slurm does not call a node idle that is drained, so it is put back before anything waits for that.
  await setNode(node, 'State=RESUME');
  await site.cluster?.untilIdle();
  await site.json(['create', '--image', 'mini', '--memory', '128M', '--name', 'after', '--wait']);
  await site.json(['destroy', 'after', '--wait']);
});
