import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench } from '../../../test/support/engine.ts';

describe('the writer', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  const group = { name: 'w', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };

  it('commits what comes together in one transaction, each seeing the one before', async () => {
    const outcomes = await Promise.allSettled([
      bench.engine.workspaces.create('ann', { name: 'one', groups: [group] }),
      bench.engine.workspaces.create('ann', { name: 'two', groups: [group] }),
      bench.engine.workspaces.create('ann', { name: 'one', groups: [group] }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(outcomes[2]).toMatchObject({ reason: { code: 'conflict' } });
    expect(bench.store.commits[0]?.workspaces.map(({ name }) => name)).toEqual(['one', 'two']);
    const addresses = [...bench.engine.state.vms.values()].flatMap(({ nics }) =>
      nics.map(nic => nic.address),
    );
    expect(new Set(addresses).size).toBe(2);
  });

  it('shows and answers nothing before it is durable', async () => {
    bench.store.hold();
    let answered = false;
    const created = bench.engine.workspaces.create('ann', { groups: [group] }).then(workspace => {
      answered = true;
      return workspace;
    });
    let told = 0;
    bench.engine.onEvents(() => (told += 1));
    await bench.settle();
    expect([answered, bench.engine.state.workspaces.size, bench.lrm.submitted.length, told]).toEqual([
      false,
      0,
      0,
      0,
    ]);
    bench.store.release();
    const { id } = await created;
    expect(bench.engine.state.workspaces.has(id)).toBe(true);
    await bench.settle();
    expect(bench.lrm.submitted).toHaveLength(1);
    expect(told).toBeGreaterThan(0);
  });

  it('leaves no trace of what it refuses', async () => {
    await expect(
      bench.engine.workspaces.create('ann', { groups: [{ ...group, image: 'unheard-of' }] }),
    ).rejects.toMatchObject({ code: 'image_unknown', name: 'WspError' });
    expect(bench.store.commits).toEqual([]);
    const stored = await bench.store.load();
    expect([stored.workspaces, stored.effects, stored.secrets.size]).toEqual([[], [], 0]);
    expect(bench.engine.state.workspaces.size).toBe(0);
  });

  it('takes back what could not be stored, and goes on', async () => {
    const before = await bench.create(1, { name: 'before' });
    bench.store.failure = new Error('database or disk is full');
    await expect(bench.engine.workspaces.create('ann', { name: 'lost', groups: [group] })).rejects.toThrow(
      /disk is full/,
    );
    await expect(bench.engine.workspaces.destroy(before.id, 'ann')).rejects.toMatchObject({ code: 'busy' });
    bench.store.failure = undefined;
    expect(bench.workspace(before.id).state).toBe('queued');
    // The name and the address of what was lost are free.
    const after = await bench.create(1, { name: 'lost' });
    const addresses = after.vmIds.map(id => bench.engine.state.vms.get(id)?.nics[0]?.address);
    expect(addresses).toEqual(['10.90.0.2']);
    await bench.engine.workspaces.destroy(before.id, 'ann');
    expect(bench.workspace(before.id).state).not.toBe('queued');
    expect(bench.broken).toEqual([]);
  });

  it('gives up when the store stays broken, once', async () => {
    bench.store.failure = new Error('disk I/O error');
    for (let attempt = 0; attempt < 7; attempt++)
      await expect(bench.engine.workspaces.create('ann', { groups: [group] })).rejects.toMatchObject({
        code: 'busy',
      });
    expect(bench.broken).toEqual([bench.store.failure]);
  });

  it('says when it is overrun', async () => {
    bench.store.hold();
    const waiting = Array.from({ length: 10_300 }, () =>
      bench.engine.workspaces.destroy('ws-aaaaaaaaaa', 'ann'),
    );
    const outcomes = Promise.allSettled(waiting);
    bench.store.release();
    const codes = (await outcomes).map(outcome =>
      outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : '',
    );
    expect(new Set(codes)).toEqual(new Set(['not_found', 'busy']));
    expect(codes.filter(code => code === 'busy')).toHaveLength(300);
  });

  it('acts on the next deadline, and on the one after it', async () => {
    const { workspace } = await bench.running();
    const { endsAt } = bench.workspace(workspace.id);
    expect(endsAt).toBe(bench.clock.now() + 3_600_000);
    await bench.advance(3_600_000 - 10_001);
    expect(bench.workspace(workspace.id).state).toBe('running');
    await bench.advance(1);
    expect(bench.workspace(workspace.id)).toMatchObject({ state: 'ending', cause: 'expired' });
  });

  it('keeps its deadlines in a time that is set forward, at the LRM’s next word', async () => {
    const { workspace } = await bench.running();
    await bench.advance(20_000);
    const { now } = bench.clock;
    const steppedMs = 3_600_000;
    Object.assign(bench.clock, { now: () => now() + steppedMs });
    // The bench counts in the same clock.
    await bench.advance(16_000 - steppedMs);
    expect(bench.workspace(workspace.id)).toMatchObject({ state: 'ending', cause: 'expired' });
  });

  it('stores the effects that are done with the next transaction', async () => {
    const { pilots } = await bench.running();
    const pending = (await bench.pendingEffects()).map(({ kind }) => kind);
    expect(pending).toEqual([]);
    expect(pilots[0]?.commands.map(({ body }) => body.kind)).toEqual(['start-vm']);
  });

  it('makes secrets with a workspace and deletes them with its end', async () => {
    const workspace = await bench.create(2, { sshKeys: ['ssh-ed25519 KEY ann'] });
    expect(await bench.engine.knownHosts(workspace.id)).toEqual([
      `${workspace.id}.w-0 ssh-ed25519 AAAA`,
      `${workspace.id}.w-1 ssh-ed25519 AAAA`,
    ]);
    const keys = [...(await bench.store.load()).secrets.keys()].sort();
    expect(keys).toEqual([`slot:${workspace.slotId}`, `workspace:${workspace.id}`]);
    await bench.engine.workspaces.destroy(workspace.id, 'ann');
    await bench.advance(2_000);
    expect(bench.workspace(workspace.id).state).toBe('ended');
    expect([...(await bench.store.load()).secrets.keys()]).toEqual([`slot:${workspace.slotId}`]);
  });
});
