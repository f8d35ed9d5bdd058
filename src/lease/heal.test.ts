import { describe, expect, it } from 'vitest';
import { kindsOf, LeaseBench, must } from '../../test/support/lease.ts';
import { mostReplacements } from './heal.ts';
import type { Vm } from './model.ts';

const crashed = { code: 'vmm_exited', message: 'the VMM was killed by SIGSEGV' };

/** The newest VM under a name. */
const called = (bench: LeaseBench, name: string): Vm => must(bench.vms.find(vm => vm.name === name));

function lose(bench: LeaseBench, name: string, reason = crashed): ReturnType<LeaseBench['notify']> {
  const { id, node, context } = called(bench, name);
  return bench.notify(must(node), { kind: 'vm', report: { vmId: id, state: 'failed', context, reason } });
}

function comesUp(bench: LeaseBench, name: string): void {
  const { id, node } = called(bench, name);
  for (const state of ['propagating', 'starting', 'running'] as const)
    bench.notify(must(node), { kind: 'vm', report: { vmId: id, state, context: 'pending' } });
}

const healed = (count = 2): LeaseBench => new LeaseBench().running(count, { heal: 'replace' });

describe('a workspace that heals, when a VM is lost', () => {
  it('has another one started in its place: the same name and addresses, in the same slot', () => {
    const bench = healed();
    const [lost, other] = bench.vms;
    const { endsAt } = bench.workspace;
    const { effects, events } = lose(bench, 'node-0');
    const successor = called(bench, 'node-0');
    expect(successor).toMatchObject({
      id: `${lost?.id}.1`,
      nics: lost?.nics,
      slotId: lost?.slotId,
      state: 'pending',
      context: 'pending',
      replaces: 1,
      reason: { code: 'replaced' },
    });
    expect(successor.reason?.message).toContain('the VMM was killed by SIGSEGV');
    expect(effects).toMatchObject([
      { kind: 'pilot', node: successor.node, order: { kind: 'start-vm', vmId: successor.id } },
      { kind: 'pilot', node: 'n0', order: { kind: 'set-peers', workspaceId: bench.ws } },
      { kind: 'pilot', node: 'n1', order: { kind: 'set-peers', workspaceId: bench.ws } },
    ]);
    expect(events.map(({ type }) => type)).toEqual(['vm.failed', 'vm.replaced', 'vm.placed']);
    expect(bench.workspace).toMatchObject({ state: 'running', endsAt });
    expect(called(bench, 'node-1')).toEqual(other);
    comesUp(bench, 'node-0');
    expect(called(bench, 'node-0').state).toBe('running');
    expect(bench.workspace).toMatchObject({ state: 'running', deployDeadlineAt: null });
  });

  it('security 5 tells the nodes of its network each time a VM comes, under another key', () => {
    const bench = healed();
    const keys = [1, 2].flatMap(() => lose(bench, 'node-0').effects.map(({ key }) => key));
    expect(new Set(keys).size).toBe(6);
    // VMs that start together know of each other by their orders to start.
    expect(kindsOf(bench.effects).filter(kind => kind === 'set-peers')).toHaveLength(4);
  });

  it('security 5 tells the nodes that are left when a VM has gone for good', () => {
    const bench = new LeaseBench().running(3, { keepPartial: true });
    const { effects } = lose(bench, 'node-0');
    expect(effects).toMatchObject([
      { kind: 'pilot', node: 'n1', order: { kind: 'set-peers' } },
      { kind: 'pilot', node: 'n2', order: { kind: 'set-peers' } },
    ]);
    expect(bench.notify('n1', { kind: 'node', state: 'reserved' }).effects).toEqual([]);
  });

  it('is not healed on a node that an administrator drains', () => {
    const bench = healed();
    bench.observed({
      draining: [
        { node: 'n0', reason: 'kernel' },
        { node: 'n1', reason: 'kernel' },
      ],
    });
    lose(bench, 'node-0');
    expect(bench.vms.some(({ replaces }) => replaces > 0)).toBe(false);
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed' });
  });

  it('takes no late report of the first one for one of the other', () => {
    const bench = healed();
    const { id, node } = called(bench, 'node-0');
    lose(bench, 'node-0');
    const { effects } = bench.notify(must(node), {
      kind: 'vm',
      report: { vmId: id, state: 'running', context: 'ok' },
    });
    expect(effects).toEqual([]);
    expect(called(bench, 'node-0').state).toBe('pending');
    expect(bench.maps.vms.get(id)?.state).toBe('failed');
  });

  it('does so a few times, and ends then, and says why', () => {
    const bench = healed();
    for (let times = 1; times <= mostReplacements; times++) {
      lose(bench, 'node-0');
      expect(called(bench, 'node-0').replaces).toBe(times);
    }
    lose(bench, 'node-0');
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'failed',
      reason: { code: 'lost_too_often' },
    });
    expect(bench.workspace.reason?.message).toContain('it had been replaced 3 times');
  });

  it('does not wait for a VM that does not come', () => {
    const bench = healed();
    lose(bench, 'node-0');
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'failed',
      reason: { code: 'deploy_timeout' },
    });
    expect(bench.workspace.reason?.message).toContain('node-0 (pending on n0)');
  });

  it('gives the addresses of a VMM that does not end to no other', () => {
    const bench = healed();
    lose(bench, 'node-0', { code: 'vmm_stuck', message: 'not gone' });
    expect(bench.workspace).toMatchObject({ state: 'ending', reason: { code: 'vmm_stuck' } });
  });

  it('replaces nothing before the lease, nor for a guest that has shut itself down', () => {
    const deploying = new LeaseBench().reserved(2, { heal: 'replace' });
    lose(deploying, 'node-0');
    expect(deploying.workspace).toMatchObject({ state: 'ending', reason: { code: 'vmm_exited' } });
    const bench = healed();
    bench.vm(0, 'terminated');
    expect(called(bench, 'node-0')).toMatchObject({ state: 'terminated', replaces: 0 });
    expect(bench.workspace.state).toBe('running');
  });

  it('ends without asking for it', () => {
    const bench = new LeaseBench().running(2);
    lose(bench, 'node-0');
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed' });
  });
});

describe('a workspace that heals, when its slot is lost', () => {
  it('is started anew in another slot, when job and pilots are gone', () => {
    const bench = healed();
    bench.observed({ state: 'failed', reason: 'NodeFail' });
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed' });
    const before = bench.workspace.slotId;
    for (const node of ['n0', 'n1']) bench.step({ type: 'pilot.disconnected', slotId: before, node });
    bench.atDeadline();
    expect(bench.workspace).toMatchObject({ state: 'requested', requeues: 1, startsAt: null, cause: null });
    expect(bench.workspace.slotId).not.toBe(before);
  });

  it('waits for pilots that are there though the LRM calls their job over', () => {
    const bench = healed(1);
    bench.connect('n0');
    bench.observed({ state: 'failed', reason: 'NodeFail' });
    expect(bench.workspace.state).toBe('ending');
    expect(bench.after(1_000).effects).toEqual([]);
    expect(bench.workspace.state).toBe('ending');
    bench.step({ type: 'pilot.disconnected', slotId: bench.slot.id, node: 'n0' });
    bench.after(1_000);
    expect(bench.workspace.state).toBe('requested');
  });

  it.each(['timeout', 'cancelled', 'failed'] as const)(
    'is started anew, whatever the LRM says of the end of a job that had lost its node before: %s',
    state => {
      const bench = healed(1);
      const reason = { code: 'helper_gone', message: 'the helper does not come up' };
      bench.notify('n0', { kind: 'node', state: 'failed', reason });
      expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed' });
      const before = bench.workspace.slotId;
      bench.observed({ state });
      bench.step({ type: 'pilot.disconnected', slotId: before, node: 'n0' });
      bench.after(1_000);
      expect(bench.workspace).toMatchObject({ state: 'requested', requeues: 1 });
    },
  );

  it('ends with a job that the LRM has ended for its time', () => {
    const bench = healed(1);
    bench.observed({ state: 'timeout' });
    expect(bench.workspace.state).toBe('ended');
  });

  it('ends with a job that has ended by itself, or that the LRM does not know any more', () => {
    for (const state of ['completed', undefined] as const) {
      const bench = healed(1);
      bench.now += 1;
      bench.observed(state && { state });
      expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed', requeues: 0 });
    }
  });
});

describe('what comes in place of a lost VM', () => {
  it.each(['pending', 'propagating', 'starting'] as const)(
    'is waited for while it is %s, and no longer',
    state => {
      const bench = healed();
      lose(bench, 'node-0');
      const deployDeadlineAt = bench.now + 120_000;
      if (state !== 'pending') bench.vm(0, state);
      expect(bench.workspace.deployDeadlineAt).toBe(deployDeadlineAt);
      const decision = bench.atDeadline();
      expect(bench.now).toBe(deployDeadlineAt);
      expect(bench.workspace).toMatchObject({ cause: 'failed', reason: { code: 'deploy_timeout' } });
      expect(bench.workspace.reason?.message).toContain(`node-0 (${state} on n0)`);
      expect(bench.workspace.reason?.message).not.toContain('node-1');
      expect(bench.ordersOf(decision, 'stop-vm')).toMatchObject([
        { node: 'n0', graceMs: 0 },
        { node: 'n1', graceMs: 10_000 },
      ]);
    },
  );

  it('goes to another node, if one has room', () => {
    const bench = new LeaseBench({ policy: { kind: 'pack', vmsPerNode: 2 } });
    bench.create(3, { heal: 'replace' });
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    for (const index of [0, 1, 2]) bench.vm(index, 'running');
    expect(bench.vms.map(({ node }) => node)).toEqual(['n0', 'n0', 'n1']);
    lose(bench, 'node-0');
    expect(called(bench, 'node-0').node).toBe('n1');
    lose(bench, 'node-2');
    expect(called(bench, 'node-2').node).toBe('n0');
    lose(bench, 'node-1');
    expect(called(bench, 'node-1').node).toBe('n1');
  });

  it('has nothing to say of itself when its image has not', () => {
    const bench = new LeaseBench();
    const groups = [{ name: 'node', image: 'plain', count: 1, memoryMiB: 256, cpus: 1 }];
    bench.step(bench.createInput({ groups, heal: 'replace' }));
    bench.submitted();
    bench.node('n0', 'reserved');
    bench.vm(0, 'running');
    lose(bench, 'node-0');
    expect(called(bench, 'node-0')).toMatchObject({ replaces: 1, context: 'none', orders: 0, told: 0 });
  });
});

describe('the nodes of a network', () => {
  it('are told nothing of a workspace whose networks are no VXLANs, nor of VMs that come while it is deployed', () => {
    const bench = new LeaseBench();
    const group = { name: 'node', image: 'mini', count: 2, memoryMiB: 256, cpus: 1 };
    bench.step(bench.createInput({ groups: [{ ...group, networks: ['public'] }], keepPartial: true }));
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    for (const index of [0, 1]) bench.vm(index, 'running');
    lose(bench, 'node-0');
    expect(kindsOf(bench.effects)).not.toContain('set-peers');
  });

  it('are told when a VM goes while others are still being deployed, under a key of that', () => {
    const bench = new LeaseBench().reserved(3, { keepPartial: true });
    const lost = called(bench, 'node-0');
    const { effects } = lose(bench, 'node-0');
    expect(effects.map(({ key }) => key)).toEqual([
      `peers:${bench.slotId}:n1:${lost.id}:gone`,
      `peers:${bench.slotId}:n2:${lost.id}:gone`,
    ]);
  });

  it('are told when one comes in place of another, under a key of that', () => {
    const bench = healed();
    const { effects } = lose(bench, 'node-0');
    expect(effects.slice(1).map(({ key }) => key)).toEqual([
      `peers:${bench.slotId}:n0:${called(bench, 'node-0').id}:come`,
      `peers:${bench.slotId}:n1:${called(bench, 'node-0').id}:come`,
    ]);
  });
});
