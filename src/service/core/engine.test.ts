import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import type { WorkspaceSecrets } from './secrets.ts';

describe('the engine', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  it('gives a pilot its orders after a restart in the order in which users gave them', async () => {
    const { workspace, pilots } = await bench.running();
    const pilot = must(pilots[0]);
    for (const operation of ['pause', 'reboot'] as const)
      await bench.engine.workspaces.operate(workspace.id, 'ann', { operation });
    await bench.settle();
    const given = pilot.commands.slice(-2).map(({ body }) => body);
    expect(given).toMatchObject(['pause', 'reboot'].map(operation => ({ operation })));
    // None was acknowledged.
    await bench.restart();
    pilot.heard.length = 0;
    pilot.connect(bench.engine);
    pilot.hello([{ vmId: must(workspace.vmIds[0]), state: 'running', context: 'ok' }]);
    await bench.settle();
    expect(pilot.commands.map(({ body }) => body)).toEqual(given);
  });

  it('does not start what is to stop by now, when its pilot comes back', async () => {
    const { id, slotId } = await bench.create();
    const pilot = new FakePilot(bench.engine, slotId, 'n0');
    pilot.hello();
    pilot.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    expect(pilot.commands.map(({ body }) => body.kind)).toEqual(['start-vm']);
    // It has gone before it had heard that.
    pilot.session.closed();
    await bench.engine.workspaces.destroy(id, 'ann');
    pilot.heard.length = 0;
    pilot.connect(bench.engine);
    pilot.hello();
    await bench.settle();
    expect(pilot.commands.map(({ body }) => body.kind)).toEqual(['stop-vm']);
  });

  it('asks for idle slots as soon as the LRM has said what it has', async () => {
    const policy = {
      kind: 'warm',
      slots: 1,
      nodes: 2,
      memoryMiBPerNode: 1_024,
      cpusPerNode: 1,
      durationMs: 3_600_000,
      vmsPerNode: 1,
      shared: false,
    } as const;
    const warm = await new EngineBench({ policy }).start();
    await warm.advance(1_000);
    expect(warm.lrm.submitted).toMatchObject([{ nodes: 2 }]);
    await warm.close();
  });

  it('builds on no secret of a commit that has failed', async () => {
    const workspace = await bench.create(1, { pending: true });
    const group = { name: 'more', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };
    bench.store.failure = new Error('disk full');
    await expect(bench.engine.workspaces.add(workspace.id, 'ann', [group])).rejects.toMatchObject({
      code: 'busy',
    });
    bench.store.failure = undefined;
    await bench.engine.workspaces.add(workspace.id, 'ann', [group]);
    const { secrets } = await bench.store.load();
    const stored = JSON.parse(must(secrets.get(`workspace:${workspace.id}`))) as WorkspaceSecrets;
    expect(stored.request.groups.map(({ name }) => name)).toEqual(['w', 'more']);
  });
});
