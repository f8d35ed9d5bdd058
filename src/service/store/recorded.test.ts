import Database from 'libsql';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import { startedAt } from '../../../test/support/lease.ts';
import { openSqliteStore } from './sqlite.ts';

/**
 * Databases that services of earlier versions have left (`test/recorded/`): in them `past` of ann
 * has ended, `runs` of ann has two VMs that run, `waits` of bob is in the queue, `grows` of ann is
 * not launched, and for `owed` of bob the scheduler did not take the job yet.
 */
describe.each(['state-15.sql'])('the recorded database %s', recorded => {
  let directory = '';
  let bench: EngineBench;

  beforeEach(async () => {
    directory = join(mkdtempSync(join(tmpdir(), 'wsp-recorded-')), 'state');
    mkdirSync(directory, { mode: 0o700 });
    const database = new Database(join(directory, 'wsp.db'));
    database.exec(readFileSync(join(import.meta.dirname, '../../../test/recorded', recorded), 'utf8'));
    database.close();
    bench = new EngineBench({ retireAfterMs: 600_000 }, openSqliteStore({ directory }));
    // Its service was stopped a quarter of an hour after it was first started.
    await bench.clock.advanceTo(startedAt + 900_000);
  });
  afterEach(async () => {
    await bench.close();
    rmSync(join(directory, '..'), { recursive: true, force: true });
  });

  const named = async (name: string) => must(await bench.engine.find(name)).workspace;

  /** What the scheduler still has of it. */
  async function serve(): Promise<void> {
    const jobs = new Map<string, string>();
    for (const slot of (await bench.store.load()).slots)
      if (slot.lrmJobId !== null && slot.endedAt === null) jobs.set(slot.id, slot.lrmJobId);
    const { slots } = await bench.store.load();
    bench.lrm.jobs = slots
      .filter(({ id }) => jobs.has(id))
      .map(({ id, state, nodes }) => ({
        jobId: must(jobs.get(id)),
        jobName: `wsp-${id}`,
        state: state === 'ready' ? ('running' as const) : ('waiting' as const),
        nodes: nodes.map(({ name }) => name),
      }));
    await bench.start();
  }

  it('is opened, and all that was in it is there', async () => {
    const before = await bench.store.load();
    expect(before.workspaces.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'past ended',
      'runs running',
      'waits queued',
      'grows pending',
      'owed requested',
    ]);
    expect(before.effects.map(({ kind }) => kind)).toContain('lrm.submit');
    const users = (await bench.store.loadAccess()).filter(({ kind }) => kind === 'user');
    expect(users).toMatchObject([{ id: 'ann', body: { role: 'operator' } }]);
    const events = await bench.store.events({ after: 0, limit: 1_000 });
    expect(new Set(events.map(({ owner }) => owner))).toEqual(new Set(['ann', 'bob']));
  });

  it('is served: its leases go on and end well, and what was owed is done', async () => {
    const { effects } = await bench.store.load();
    const running = await named('runs');
    await serve();
    const owed = await named('owed');
    expect(effects).toMatchObject([{ kind: 'lrm.submit', slotId: owed.slotId }]);
    expect(owed.state).toBe('queued');
    const pilots = must(bench.engine.state.slots.get(running.slotId)).nodes.map(
      ({ name }) => new FakePilot(bench.engine, running.slotId, name),
    );
    const vmIds = running.vmIds;
    pilots.forEach((pilot, index) =>
      pilot.hello([{ vmId: must(vmIds[index]), state: 'running', context: 'ok' }]),
    );
    await bench.settle();
    expect((await named('runs')).state).toBe('running');
    await bench.engine.workspaces.destroy(running.id, 'ann');
    await bench.settle();
    for (const pilot of pilots) {
      const stops = pilot.commands.flatMap(({ body }) => (body.kind === 'stop-vm' ? [body.vmId] : []));
      for (const vmId of stops)
        pilot.send(1_000, { kind: 'vm', report: { vmId, state: 'terminated', context: 'ok' } });
      await bench.settle();
      pilot.send(1_001, { kind: 'node', state: 'released' });
      await bench.settle();
      pilot.session.closed();
    }
    const { lrmJobId } = must(bench.engine.state.slots.get(running.slotId));
    bench.lrm.change(lrmJobId ?? '', { state: 'completed' });
    await bench.advance(2_000);
    expect(await named('runs')).toMatchObject({ state: 'ended', cause: 'destroyed' });
    for (const name of ['waits', 'grows', 'owed'])
      await bench.engine.workspaces.destroy((await named(name)).id, 'ann');
    await bench.advance(60_000);
    for (const name of ['waits', 'grows', 'owed'])
      expect(await named(name)).toMatchObject({ state: 'ended', cause: 'destroyed' });
    await bench.advance(1_200_000);
    expect([bench.engine.state.workspaces.size, bench.engine.state.slots.size]).toEqual([0, 0]);
    expect(await bench.pendingEffects()).toEqual([]);
  });

  it('keeps its history: what had ended is found, its token holds, and its use counts', async () => {
    const past = await named('past');
    await serve();
    await bench.advance(600_000);
    expect(bench.engine.state.workspaces.has(past.id)).toBe(false);
    expect(await named('past')).toEqual(past);
    expect(await bench.engine.pastUse(0, bench.clock.now(), [])).toMatchObject([
      { owner: 'ann', project: 'lattice', vmMs: 2 * 601_000 },
    ]);
    const again = bench.engine.workspaces.create('ann', {
      clientToken: 'token-of-past',
      groups: [{ name: 'w', image: 'mini', count: 1, memoryMiB: 64, cpus: 1 }],
    });
    await expect(again).rejects.toMatchObject({ code: 'conflict' });
  });
});
