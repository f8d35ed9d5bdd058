import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { addressesInUse, mostRequeues } from './requeue.ts';
import type { Slot } from './model.ts';

/** Two VMs run, and the LRM takes the nodes back; guests are off, nodes released. */
function preempted(bench = new LeaseBench().running(2, { requeue: true })): LeaseBench {
  bench.notify('n0', {
    kind: 'node',
    state: 'preempting',
    reason: { code: 'lrm_signal', message: 'the batch scheduler sent SIGTERM to the pilot' },
  });
  for (const index of [0, 1]) bench.vm(index, 'terminated');
  for (const node of ['n0', 'n1']) bench.node(node, 'released');
  return bench;
}

const newSlot = (bench: LeaseBench): Slot => must(bench.maps.slots.get(bench.workspace.slotId));

describe('a preempted workspace that asks for it', () => {
  it('is started anew when its job is gone: same names and addresses, another slot, its whole time', () => {
    const bench = new LeaseBench().running(2, { requeue: true, durationMs: 3_600_000 });
    const before = bench.vms;
    preempted(bench);
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'preempted' });
    bench.observed({ state: 'preempted' });
    expect(bench.workspace.state).toBe('ending');
    const decision = bench.atDeadline();
    expect(bench.workspace).toMatchObject({
      state: 'requested',
      cause: null,
      requeues: 1,
      startsAt: null,
      endsAt: null,
      reason: { code: 'requeued' },
    });
    expect(bench.workspace.reason?.message).toContain('(1 of at most 3 times)');
    expect(bench.vms.map(({ id, name, nics }) => ({ id, name, nics }))).toEqual(
      before.map(({ id, name, nics }) => ({ id, name, nics })),
    );
    expect(bench.vms.map(({ state, node }) => [state, node])).toEqual([
      ['pending', null],
      ['pending', null],
    ]);
    expect(newSlot(bench)).toMatchObject({ state: 'requested', lrmJobId: null, nodesWanted: 2 });
    expect(decision.effects).toMatchObject([{ kind: 'lrm.submit', slotId: bench.workspace.slotId }]);
    // The old slot has nothing to do with it any more.
    bench.observed({ state: 'preempted' });
    expect(bench.workspace.state).toBe('requested');
  });

  it('keeps its addresses from everybody else meanwhile', () => {
    const bench = preempted();
    const held = bench.vms.flatMap(({ nics }) => nics.map(({ address }) => address));
    expect(held.length).toBeGreaterThan(0);
    expect([...addressesInUse(bench.state)]).toEqual(expect.arrayContaining(held));
    const other = bench.createInput(
      { groups: [{ name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 }] },
      'b',
    );
    bench.step(other);
    const [vm] = [...bench.maps.vms.values()].filter(({ workspaceId }) => workspaceId === 'ws-bbbbbbbbbb');
    for (const { address } of must(vm).nics) expect(held).not.toContain(address);
  });

  it('waits for the end of its job, however long that takes', () => {
    const bench = preempted();
    bench.after(60_000);
    expect(bench.workspace).toMatchObject({ state: 'ending', slotId: bench.slotId });
    bench.observed(undefined);
    bench.atDeadline();
    expect(bench.workspace.state).toBe('requested');
  });

  it.each([
    ['cancelled', 'cancelled'],
    ['timeout', 'expired'],
  ] as const)('ends when the LRM says that its job was %s', (state, cause) => {
    const bench = preempted();
    bench.observed({ state });
    bench.after(0);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause, requeues: 0 });
  });

  it('ends when its owner destroys it before it has begun anew', () => {
    const bench = preempted();
    bench.destroy();
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
    expect([...addressesInUse(bench.state)]).toEqual([]);
  });

  it('ends when that has been done often enough', () => {
    const bench = preempted();
    bench.maps.workspaces.set(bench.ws, { ...bench.workspace, requeues: mostRequeues });
    bench.observed({ state: 'preempted' });
    bench.after(60_000);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
  });
});

it('a preempted workspace that does not ask for it ends', () => {
  const bench = preempted(new LeaseBench().running(2));
  expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
});

it('a workspace that may be started anew keeps the addresses of a guest that has shut itself down', () => {
  for (const asks of [{ requeue: true }, { heal: 'replace' }] as const) {
    const bench = new LeaseBench().running(2, asks);
    bench.vm(0, 'terminated');
    const addresses = bench.vms.flatMap(({ nics }) => nics.map(({ address }) => address));
    expect(bench.workspace.state).toBe('running');
    expect([...addressesInUse(bench.state)]).toEqual(expect.arrayContaining(addresses));
  }
});

describe('whether a workspace is started anew', () => {
  const anew = (bench: LeaseBench): boolean => {
    bench.after(60_000);
    return bench.workspace.state === 'requested';
  };

  it.each([
    ['failed', false],
    ['node-failed', true],
    ['preempted', true],
    ['completed', false],
    ['timeout', false],
  ] as const)('when its job is %s and it asks to be requeued: %s', (state, expected) => {
    const bench = new LeaseBench().running(1, { requeue: true });
    bench.observed({ state });
    expect(anew(bench)).toBe(expected);
  });

  it('when a VM of it fails: not by being requeued', () => {
    const bench = new LeaseBench().running(1, { requeue: true });
    bench.vm(0, 'failed');
    bench.observed({ state: 'completed' });
    expect(anew(bench)).toBe(false);
  });

  it('when its slot fails before its lease has begun: not by healing', () => {
    const bench = new LeaseBench().reserved(1, { heal: 'replace' });
    bench.observed({ state: 'failed' });
    expect(bench.workspace.state).toBe('ended');
  });

  it.each([
    ['cancelled', false],
    ['timeout', false],
    ['completed', true],
  ] as const)(
    'when a drained node was left and the job is %s, which nobody of us has ordered: %s',
    (state, expected) => {
      const bench = new LeaseBench({ drain: 'leave' }).running(1, { requeue: true });
      bench.observed({ draining: [{ node: 'n0', reason: '' }] });
      bench.vm(0, 'terminated');
      bench.observed({ state });
      expect(anew(bench)).toBe(expected);
      if (!expected)
        expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted', heal: 'fail' });
    },
  );

  it('not when the site could not hold it any more', () => {
    const bench = preempted();
    const { settings } = bench.state;
    const pools = settings.pools.map(pool => ({ ...pool, site: pool.site && { ...pool.site, nodes: 1 } }));
    Object.assign(bench.state, { settings: { ...settings, pools } });
    bench.observed({ state: 'preempted' });
    expect(anew(bench)).toBe(false);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
  });

  it('not while one of its pilots is there', () => {
    const bench = new LeaseBench().running(2, { requeue: true });
    bench.connect('n1', [{ vmId: must(bench.vms[1]).id, state: 'running', context: 'ok' }]);
    bench.observed({ state: 'preempted' });
    expect(anew(bench)).toBe(false);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n1' });
    expect(anew(bench)).toBe(true);
  });

  it('in a slot that goes on without it: when all of its VMs are off', () => {
    const policy = { kind: 'reuse', keepMs: 600_000, factor: 2, vmsPerNode: 1, shared: false } as const;
    const bench = new LeaseBench({ policy }).running(2, { heal: 'replace' });
    bench.vm(0, 'failed', { reason: { code: 'vmm_exited', message: 'killed' } });
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'deploy_timeout' } });
    bench.vm(0, 'terminated');
    bench.after(0);
    expect([bench.workspace.state, bench.slot.state]).toEqual(['ending', 'ready']);
    bench.vm(1, 'terminated');
    expect(bench.slot.state).toBe('ready');
    bench.after(0);
    expect(bench.workspace.state).toBe('requested');
  });
});

it('what is started anew begins as it did at first, but for its latest start', () => {
  const bench = new LeaseBench({ endNoticesMs: [60_000] });
  const group = { image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };
  const groups = [
    { name: 'a', ...group },
    { name: 'b', ...group, image: 'plain' },
  ];
  const startBy = new Date(bench.now + 600_000).toISOString();
  bench.step(bench.createInput({ groups, requeue: true, startBy, durationMs: 600_000 }));
  bench.submitted();
  for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
  for (const index of [0, 1]) bench.vm(index, 'running');
  bench.vm(0, 'running', { context: 'ok' });
  bench.after(540_000);
  expect(bench.workspace.noticesGivenMs).toEqual([60_000]);
  preempted(bench);
  bench.observed({ state: 'preempted' });
  bench.after(0);
  expect(bench.vms.map(({ context, reason }) => [context, reason])).toEqual([
    ['pending', null],
    ['none', null],
  ]);
  expect(bench.workspace).toMatchObject({ state: 'requested', startBy: null, noticesGivenMs: [] });
  expect(bench.workspace.reason?.message).toMatch(/SIGTERM to the pilot; started anew in a new slot/);
  expect(newSlot(bench)).toMatchObject({ workspaceIds: [bench.ws], owner: 'ann', warm: false });
});

it('addresses are free when nothing may be started anew', () => {
  const addressOf = (bench: LeaseBench): string => must(must(bench.vms[0]).nics[0]).address;
  const destroyed = new LeaseBench().running(2, { requeue: true });
  destroyed.destroy();
  destroyed.vm(0, 'terminated');
  const plain = new LeaseBench().running(2);
  plain.vm(0, 'terminated');
  for (const bench of [destroyed, plain]) {
    expect(addressesInUse(bench.state)).not.toContain(addressOf(bench));
    expect(addressesInUse(bench.state).size).toBe(1);
  }
  destroyed.vm(1, 'terminated');
  expect(destroyed.workspace).toMatchObject({ state: 'ended', requeue: true });
  expect(addressesInUse(destroyed.state).size).toBe(0);
});
