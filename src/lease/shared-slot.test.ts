import { describe, expect, it } from 'vitest';
import { LeaseBench, must, startedAt } from '../../test/support/lease.ts';
import type { Workspace } from './model.ts';

describe('a node of a slot that two workspaces are in', () => {
  const policy = { kind: 'reuse', keepMs: 600_000, factor: 2, vmsPerNode: 2, shared: false } as const;
  const other = (bench: LeaseBench): Workspace => must(bench.maps.workspaces.get('ws-bbbbbbbbbb'));

  /** `ws-a…` has two VMs on n0 and one on n1, beside the only one of `ws-b…`. */
  function shared(): LeaseBench {
    const bench = new LeaseBench({ policy });
    bench.create(3, { durationMs: 600_000 });
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    for (const index of [0, 1, 2]) bench.vm(index, 'running');
    bench.observed({ endsAt: startedAt + 3_600_000 });
    const group = { name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };
    bench.step(bench.createInput({ groups: [group], durationMs: 600_000 }, 'b'));
    const report = { vmId: must(other(bench).vmIds[0]), state: 'running', context: 'pending' } as const;
    bench.notify('n1', { kind: 'vm', report });
    expect(other(bench)).toMatchObject({ state: 'running', slotId: bench.slotId });
    return bench;
  }

  it.each([
    ['failed', 'n0', 'failed', false],
    ['failed', 'n1', 'failed', true],
    ['releasing', 'n0', 'preempted', false],
    ['releasing', 'n1', 'preempted', true],
  ] as const)('that is %s (%s) ends as %s what has a VM there; both: %s', (state, node, cause, both) => {
    const bench = shared();
    const decision = bench.node(node, state);
    expect(bench.workspace).toMatchObject({ state: 'ending', cause });
    expect(other(bench)).toMatchObject(both ? { cause } : { state: 'running', cause: null });
    // Those of its VMs that are elsewhere are told to stop, with their time.
    const elsewhere = bench.vms
      .filter(vm => vm.node !== node)
      .map(({ id: vmId }) => ({ vmId, graceMs: 10_000 }));
    expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject(elsewhere);
  });

  it('goes on for the one when the other does not end, until the slot is given up for that', () => {
    const bench = shared();
    bench.destroy();
    bench.vm(0, 'terminated');
    const decision = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 12_000);
    expect(other(bench)).toMatchObject({
      state: 'ending',
      cause: 'failed',
      reason: { code: 'slot_given_up' },
    });
    expect(other(bench).endingDeadlineAt).toBe(bench.now + 2_000);
    expect(bench.ordersOf(decision, 'stop-vm')).toEqual([]);
    expect(bench.ordersOf(decision, 'release')).toMatchObject([{ graceMs: 0 }, { graceMs: 0 }]);
  });

  it('that is suspended is not given up for the one that is destroyed', () => {
    const bench = shared();
    bench.observed({ state: 'suspended', endsAt: startedAt + 3_600_000 });
    expect(bench.effectsOf(bench.destroy(), 'lrm.cancel')).toEqual([]);
    const last = bench.step({ type: 'destroy', workspaceId: other(bench).id, by: 'ann' });
    expect(bench.effectsOf(last, 'lrm.cancel')).toHaveLength(1);
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'destroyed' } });
  });
});
