import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { addressesInUse, mostRequeues } from './requeue.ts';
import type { Slot } from './types.ts';

/** Two VMs run, and the LRM takes the nodes back; guests are off, nodes released. */
function preempted(bench = new LeaseBench().running(2, { requeue: true })): LeaseBench {
  bench.notify('n0', {
    kind: 'node',
    state: 'preempting',
    reason: { code: 'lrm_signal', message: 'the LRM sent SIGTERM to the pilot' },
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
