import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EventView, WorkspaceView } from '../../src/protocol/api.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** What Grid Engine takes back: a real one, which warns (`qsub -notify`) before it kills. */

let site: TestSite;
beforeAll(async () => {
  site = await startSite({ lrm: 'gridengine', nodes: 2 });
});
afterAll(() => site?.stop());

it('qdel: guests are shut down within the notify time, on every node, which are as they were then', async () => {
  const create = [
    'create',
    '--image',
    'mini',
    '--memory',
    '160M',
    '--count',
    '2',
    '--name',
    'taken',
    '--wait',
  ];
  const running = await site.json<WorkspaceView>(create);
  await site.cluster?.endJob(running.slot?.lrmJobId ?? '');
  const ended = await site.json<WorkspaceView>(['wait', 'taken', '--for', 'ended', '--timeout', '60s']);
  expect(ended).toMatchObject({ cause: 'preempted', reason: { code: 'lrm_signal' } });
  expect(ended.reason?.message).toContain('SIGUSR2');
  const { events } = await site.json<{ events: EventView[] }>(['events', running.id]);
  const types = events.map(({ type }) => type);
  expect(types.filter(type => type === 'vm.stopping')).toHaveLength(2);
  expect(types.filter(type => type === 'vm.terminated')).toHaveLength(2);
  expect(types).not.toContain('vm.failed');
  await site.cluster?.untilIdle();
  expect(await site.leftovers()).toEqual([]);
});
