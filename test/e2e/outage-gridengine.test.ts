import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import type { GridEngineCluster } from '../cluster/gridengine.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** A Grid Engine whose sge_qmaster is stopped for a minute under leases in every state. */

let site: TestSite;
let cluster: GridEngineCluster;
beforeAll(async () => {
  site = await startSite({ lrm: 'gridengine', nodes: 2, vmm: { kind: 'sim' } });
  cluster = site.cluster as GridEngineCluster;
});
afterAll(() => site?.stop());

const outageMs = 60_000;
const create = (name: string): Promise<WorkspaceView> =>
  site.json(['create', '--image', 'mini', '--memory', '128M', '--name', name, '--duration', '20m']);
const until = (id: string, isRight: (workspace: WorkspaceView) => boolean): Promise<WorkspaceView> =>
  site.client().waitForWorkspace(id, isRight, { timeoutMs: 120_000 });

it('site S1 leases that wait, start, run and end go through a minute without sge_qmaster', async () => {
  const running = await create('running');
  const ending = await create('ending');
  for (const { id } of [running, ending]) await until(id, ({ state }) => state === 'running');
  await site.json(['destroy', 'ending']);
  const starting = await create('starting');
  const waiting = await create('waiting');
  await until(starting.id, ({ slot }) => Boolean(slot?.lrmJobId));
  await cluster.stopMaster();
  const during = await create('during');
  await pause(systemClock, outageMs);
  const told = await site.json<WorkspaceView>(['show', 'during']);
  expect(told.state).toBe('requested');
  expect((await site.json<WorkspaceView>(['show', 'running'])).state).toBe('running');
  await cluster.startMaster();
  await until(ending.id, ({ state }) => state === 'ended');
  await until(starting.id, ({ state }) => state === 'running');
  expect((await site.json<WorkspaceView>(['show', 'running'])).state).toBe('running');
  await site.json(['destroy', 'running']);
  await until(waiting.id, ({ state }) => state === 'running');
  await site.json(['destroy', 'starting']);
  await until(during.id, ({ state }) => state === 'running');
  const destroyed = await site.json<{ workspaces: WorkspaceView[] }>([
    'destroy',
    'waiting',
    'during',
    '--wait',
  ]);
  expect(destroyed.workspaces.map(({ cause }) => cause)).toEqual(['destroyed', 'destroyed']);
  await cluster.untilIdle();
  expect(await site.leftovers()).toEqual([]);
}, 600_000);
