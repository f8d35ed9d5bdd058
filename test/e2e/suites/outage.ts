import { afterAll, beforeAll, expect, it } from 'vitest';
import { pause, systemClock } from '../../../src/platform/clock.ts';
import type { WorkspaceView } from '../../../src/protocol/api.ts';
import { type SiteOptions, startSite, type TestSite } from '../../support/site.ts';

/** The scheduler's server, stopped and started again. */
export interface Server {
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A scheduler whose server is stopped for a minute under leases in every state. */
export function outageSuite(lrm: SiteOptions['lrm'], serverOf: (site: TestSite) => Server): void {
  let site: TestSite;
  beforeAll(async () => {
    site = await startSite({ lrm, nodes: 2, vmm: { kind: 'sim' } });
  });
  afterAll(() => site?.stop());

  const outageMs = 60_000;
  const create = (name: string): Promise<WorkspaceView> =>
    site.json(['create', '--image', 'mini', '--memory', '128M', '--name', name, '--duration', '20m']);
  const until = (id: string, isRight: (workspace: WorkspaceView) => boolean): Promise<WorkspaceView> =>
    site.client().waitForWorkspace(id, isRight, { timeoutMs: 120_000 });

  it(`site S1 leases that wait, start, run and end go through a minute without the server of ${lrm}`, async () => {
    const running = await create('running');
    const ending = await create('ending');
    for (const { id } of [running, ending]) await until(id, ({ state }) => state === 'running');
    await site.json(['destroy', 'ending']);
    const starting = await create('starting');
    const waiting = await create('waiting');
    await until(starting.id, ({ slot }) => Boolean(slot?.lrmJobId));
    await serverOf(site).stop();
    const during = await create('during');
    await pause(systemClock, outageMs);
    const told = await site.json<WorkspaceView>(['show', 'during']);
    expect(told.state).toBe('requested');
    expect((await site.json<WorkspaceView>(['show', 'running'])).state).toBe('running');
    await serverOf(site).start();
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
    const why = destroyed.workspaces.map(({ name, reason }) => `${name}: ${reason?.message}`).join('; ');
    expect(
      destroyed.workspaces.map(({ cause }) => cause),
      why,
    ).toEqual(['destroyed', 'destroyed']);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
  }, 600_000);
}
