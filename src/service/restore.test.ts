import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../test/support/engine.ts';
import { copyDatabase } from './store/backup.ts';
import { databaseIn, openSqliteStore } from './store/sqlite.ts';

/** A service starts from a backup: what docs/admin/operating.md says of leases that have gone on since. */
describe('a service that was restored', () => {
  let place = '';
  let lost: EngineBench;
  let restored: EngineBench | undefined;

  beforeEach(async () => {
    place = mkdtempSync(join(tmpdir(), 'wsp-restore-'));
    lost = await new EngineBench({}, openSqliteStore({ directory: join(place, 'lost') })).start();
  });
  afterEach(async () => {
    await lost.close();
    await restored?.close();
    rmSync(place, { recursive: true, force: true });
  });

  const backUp = (): void => void copyDatabase(databaseIn(join(place, 'lost')), join(place, 'copy.db'));

  /** The scheduler and the pilots have gone on; the database is that of the backup. */
  async function restore(): Promise<EngineBench> {
    const directory = join(place, 'restored');
    mkdirSync(directory, { mode: 0o700 });
    renameSync(join(place, 'copy.db'), databaseIn(directory));
    restored = new EngineBench({}, openSqliteStore({ directory }));
    restored.lrm.jobs = lost.lrm.jobs;
    await restored.clock.advanceTo(lost.clock.now());
    return restored.start();
  }

  it('goes on with a lease that still runs, and its pilot obeys an order as often as it is given', async () => {
    const { workspace, pilots } = await lost.running();
    const [pilot] = pilots;
    const [vmId = ''] = workspace.vmIds;
    lost.lrm.change('1', { state: 'running', nodes: ['n0'] });
    await lost.advance(2_000);
    backUp();
    const pause = { operation: 'pause' } as const;
    await lost.engine.workspaces.operate(workspace.id, 'ann', pause);
    await lost.settle();
    pilot?.vm(vmId, 'paused');
    await lost.advance(5_000);
    const bench = await restore();
    pilot?.connect(bench.engine);
    pilot?.hello([{ vmId, state: 'running', context: 'ok' }]);
    await bench.settle();
    expect(bench.workspace(workspace.id).state).toBe('running');
    await bench.engine.workspaces.operate(workspace.id, 'ann', pause);
    await bench.settle();
    const keys = (pilot?.commands ?? [])
      .filter(({ body }) => body.kind === 'operate-vm')
      .map(({ key }) => key);
    expect([keys.length, new Set(keys).size]).toEqual([2, 2]);
  });

  it('ends a lease that waited in the backup and has begun since, and has its node given back', async () => {
    const workspace = await lost.create();
    backUp();
    lost.lrm.change('1', { state: 'running', nodes: ['n0'] });
    const pilot = new FakePilot(lost.engine, workspace.slotId, 'n0');
    pilot.hello();
    pilot.notify({ kind: 'node', state: 'reserved' });
    await lost.advance(2_000);
    const [vmId = ''] = lost.workspace(workspace.id).vmIds;
    pilot.vm(vmId, 'running', 'ok');
    await lost.settle();
    expect(lost.workspace(workspace.id).state).toBe('running');

    const bench = await restore();
    pilot.connect(bench.engine);
    pilot.hello([{ vmId, state: 'running', context: 'ok' }]);
    await bench.advance(120_000);
    expect(must(await bench.engine.find(workspace.id)).workspace).toMatchObject({ cause: 'failed' });
    const orders = pilot.commands.map(({ body }) => body.kind);
    expect(orders).toContain('release');
  });

  it('ends a lease that has ended since, with what the scheduler says of its job', async () => {
    const { workspace } = await lost.running();
    lost.lrm.change('1', { state: 'running', nodes: ['n0'] });
    await lost.advance(2_000);
    backUp();
    lost.lrm.change('1', { state: 'completed' });
    const bench = await restore();
    await bench.advance(5_000);
    expect(must(await bench.engine.find(workspace.id)).workspace).toMatchObject({
      state: 'ended',
      cause: 'failed',
      reason: { code: 'lrm_completed', message: 'job 1 ended' },
    });
  });

  it('does not touch the job of a lease that was made since, and knows it by no name', async () => {
    backUp();
    const workspace = await lost.create(1, { name: 'later' });
    const bench = await restore();
    await bench.advance(120_000);
    expect(bench.lrm.cancelled).toEqual([]);
    expect(await bench.engine.find('later')).toBeUndefined();
    expect(bench.engine.pilots.authenticate(workspace.slotId, '')).toBe(false);
  });
});
