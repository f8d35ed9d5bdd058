import { describe, expect, it } from 'vitest';
import { LeaseBench, must, startedAt } from '../../test/support/lease.ts';
import { nextDeadlineAt } from './decide.ts';
import type { HistoryEvent } from './decision.ts';

/** What an event says, in one line: its type, whose it is, the node and the reason. */
function lineOf({ type, workspaceId, slotId, vmId, node, reason }: HistoryEvent): string {
  const about = [workspaceId && 'ws', slotId && 'slot', vmId?.split('.')[1], node, reason?.code];
  return [type, ...about.filter(Boolean)].join(' ');
}

describe('the life of a lease', () => {
  /** From its creation to the end of its job. */
  function lived(): LeaseBench {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.observed({ state: 'running' });
    bench.connect('n0');
    bench.node('n0', 'reserved');
    bench.vm(0, 'starting');
    bench.vm(0, 'running');
    bench.vm(0, 'running', { context: 'ok' });
    bench.destroy();
    bench.vm(0, 'terminated');
    bench.node('n0', 'releasing');
    bench.node('n0', 'released');
    bench.observed({ state: 'completed' });
    return bench;
  }

  it('is told step by step, each with what it is about', () => {
    expect(lived().events.map(lineOf)).toEqual([
      'workspace.requested ws slot',
      'slot.requested ws slot',
      'slot.queued ws slot',
      'workspace.queued ws slot',
      'slot.lrm ws slot running',
      'node.connected ws slot n0',
      'slot.reserving ws slot',
      'node.reserved ws slot n0',
      'slot.ready ws slot',
      'workspace.deploying ws slot',
      'vm.placed ws slot node-0 n0',
      'vm.starting ws slot node-0 n0',
      'vm.running ws slot node-0 n0',
      'workspace.running ws slot',
      'vm.context.ok ws slot node-0 n0',
      'workspace.ending ws slot destroyed',
      'vm.stopping ws slot node-0 n0',
      'vm.terminated ws slot node-0 n0',
      'slot.releasing ws slot destroyed',
      'workspace.ended ws slot destroyed',
      'node.releasing ws slot n0',
      'node.released ws slot n0',
      'slot.lrm ws slot completed',
      'slot.released ws slot destroyed',
    ]);
  });

  it('owes each thing once, under a key that says what it is', () => {
    const { effects, slotId, ws } = lived();
    expect(effects.map(({ key }) => key)).toEqual([
      `submit:${slotId}`,
      `start:${slotId}:${ws}.node-0`,
      `stop:${slotId}:${ws}.node-0`,
      `release:${slotId}:n0:0`,
      `observe:${slotId}`,
    ]);
  });

  it('leaves nothing that waits', () => {
    const bench = lived();
    expect(nextDeadlineAt(bench.state)).toBeNull();
    expect(bench.workspace).toMatchObject({ endedAt: startedAt, endingDeadlineAt: null });
    expect(bench.slot).toMatchObject({ state: 'released', endedAt: startedAt, deadlineAt: null });
  });
});

describe('giving a slot back', () => {
  it('that has no job yet has nothing cancelled, however long it takes', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.destroy();
    expect(bench.slot).toMatchObject({ state: 'releasing', deadlineAt: startedAt + 30_000 });
    expect(bench.atDeadline().effects).toEqual([]);
    expect(bench.slot.deadlineAt).toBe(startedAt + 60_000);
  });

  it('that was taken back waits for all of its pilots; what is left then has its own deadline', () => {
    const bench = new LeaseBench().running(2);
    bench.node('n0', 'preempting');
    expect(bench.slot.deadlineAt).toBe(startedAt + 10_000 + 30_000);
    bench.vm(0, 'terminated');
    // Its end is waited for with that of the slot.
    expect(nextDeadlineAt(bench.state)).toBe(startedAt + 40_000);
    bench.node('n0', 'releasing');
    expect(bench.slot.state).toBe('preempting');
  });

  it.each(['released', 'failed'] as const)('is being released when the last pilot is %s at once', state => {
    const bench = new LeaseBench().running(2);
    bench.node('n0', 'preempting');
    bench.node('n0', state);
    bench.node('n1', 'releasing');
    expect(bench.slot.state).toBe('releasing');
  });
});

it('VMs that do not fit on the nodes that came end their workspace', () => {
  const bench = new LeaseBench();
  bench.create(1);
  bench.submitted();
  // The service was started again with another overhead meanwhile.
  const { settings } = bench.state;
  const pools = settings.pools.map(({ memory, ...pool }) => ({
    ...pool,
    memory: { ...memory, vmm: { ...memory.vmm, fixedMiB: 1_000 } },
  }));
  Object.assign(bench.state, { settings: { ...settings, pools } });
  const { effects } = bench.node('n0', 'reserved');
  expect(bench.workspace).toMatchObject({
    state: 'ended',
    cause: 'failed',
    reason: { code: 'does_not_fit' },
  });
  expect(bench.vmStates).toEqual(['terminated']);
  expect(effects).toMatchObject([{ kind: 'pilot', order: { kind: 'release', graceMs: 0 } }]);
});

describe('a slot that is kept', () => {
  const policy = { kind: 'reuse', keepMs: 600_000, factor: 4, vmsPerNode: 1, shared: false } as const;
  const kept = (): LeaseBench => {
    const bench = new LeaseBench({ policy }).running(1);
    bench.destroy();
    bench.vm(0, 'terminated');
    return bench;
  };

  it('is told of as idle once', () => {
    const bench = kept();
    bench.observed({ endsAt: startedAt + 10_000_000 });
    bench.observed({ endsAt: startedAt + 10_000_001 });
    expect(bench.events.filter(({ type }) => type === 'slot.idle')).toHaveLength(1);
    expect(bench.slot.deadlineAt).toBe(startedAt + 600_000);
  });

  it('is kept through the end of an expired lease, whose guests were off before', () => {
    const bench = new LeaseBench({ policy }).running(1, { durationMs: 60_000 });
    bench.atDeadline();
    bench.vm(0, 'terminated');
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 60_000);
    expect([bench.workspace.state, bench.slot.state]).toEqual(['ended', 'ready']);
  });

  it('is kept for no longer when the job was suspended meanwhile', () => {
    const bench = kept();
    bench.observed({ state: 'suspended' });
    bench.now += 1_000;
    bench.observed({});
    expect(bench.slot.deadlineAt).toBe(startedAt + 600_000);
  });

  it('goes with its workspace when a node is drained then, and tells so', () => {
    const bench = new LeaseBench({ policy }).running(1);
    bench.observed({ draining: [{ node: 'n0', reason: '' }] });
    bench.destroy();
    bench.vm(0, 'terminated');
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'destroyed' } });
  });

  it('is not kept when a node of it has left', () => {
    const bench = new LeaseBench({ policy }).running(2);
    bench.destroy();
    bench.node('n0', 'failed');
    bench.vm(1, 'terminated');
    expect(bench.slot.state).toBe('releasing');
    expect(must(bench.workspace.cause)).toBe('destroyed');
  });
});
