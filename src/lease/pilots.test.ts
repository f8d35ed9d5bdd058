import { describe, expect, it } from 'vitest';
import { kindsOf, LeaseBench, must, startedAt } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';
import { mostTold } from './told.ts';

describe('reserving', () => {
  it('begins with the first pilot and is over when all are reserved; then everything starts at once', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    bench.connect('n1');
    expect(bench.slot).toMatchObject({ state: 'reserving', deadlineAt: startedAt + 60_000 });
    bench.node('n1', 'reserving');
    bench.node('n1', 'reserved');
    bench.node('n0', 'reserving');
    expect(bench.slot.state).toBe('reserving');
    const decision = bench.node('n0', 'reserved');
    expect(bench.slot).toMatchObject({ state: 'ready', deadlineAt: null });
    expect(decision.effects).toMatchObject([
      {
        kind: 'pilot',
        node: 'n1',
        key: `start:${bench.slotId}:${bench.ws}.node-0`,
        order: { kind: 'start-vm', vmId: `${bench.ws}.node-0` },
      },
      { kind: 'pilot', node: 'n0', order: { kind: 'start-vm', vmId: `${bench.ws}.node-1` } },
    ]);
    expect(bench.vms.map(vm => [vm.node, vm.state])).toEqual([
      ['n1', 'pending'],
      ['n0', 'pending'],
    ]);
    expect(bench.events.map(({ type }) => type).slice(-5)).toEqual([
      'node.reserved',
      'slot.ready',
      'workspace.deploying',
      'vm.placed',
      'vm.placed',
    ]);
    expect(bench.events.filter(({ type }) => type === 'node.reserving')).toHaveLength(2);
  });

  it('that takes too long gives up, and says how many of how many', () => {
    const bench = new LeaseBench();
    bench.create(3);
    bench.submitted();
    bench.node('n0', 'reserved');
    bench.node('n1', 'reserving');
    const decision = bench.atDeadline();
    expect(bench.now).toBe(startedAt + 60_000);
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed' });
    expect(bench.workspace.reason).toMatchObject({ code: 'reserve_timeout' });
    expect(bench.workspace.reason?.message).toContain('only 1 of 3 nodes');
    expect(bench.ordersOf(decision, 'release')).toHaveLength(2);
    expect(bench.slot.state).toBe('releasing');
    // The third pilot comes after all, and is sent away.
    expect(bench.connect('n2').effects).toMatchObject([
      { kind: 'pilot', node: 'n2', order: { kind: 'release' } },
    ]);
  });

  it('that ends with pilots missing has the job cancelled once the others have left', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    bench.node('n0', 'reserved');
    bench.destroy();
    expect(bench.node('n0', 'released').effects).toMatchObject([{ kind: 'lrm.cancel' }]);
  });

  it('that fails on one node fails the slot, and names the node', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    bench.node('n0', 'reserved');
    const reason = { code: 'helper_missing', message: 'sudo: a password is required' };
    const decision = bench.notify('n1', { kind: 'node', state: 'failed', reason });
    expect(bench.workspace).toMatchObject({
      state: 'ended',
      cause: 'failed',
      reason: { code: 'helper_missing', message: 'node n1 failed: sudo: a password is required' },
    });
    expect(decision.effects).toMatchObject([{ kind: 'pilot', node: 'n0', order: { kind: 'release' } }]);
  });

  it('takes no more pilots than nodes were asked for', () => {
    const bench = new LeaseBench().running(1);
    expect(bench.connect('n9').effects).toMatchObject([
      { kind: 'pilot', node: 'n9', order: { kind: 'release' } },
    ]);
    expect(bench.workspace.state).toBe('running');
  });
});

describe('notifications', () => {
  it('are applied once, in whatever number they come', () => {
    const bench = new LeaseBench().reserved(1);
    const report = { vmId: must(bench.vms[0]).id, state: 'starting', context: 'pending' } as const;
    const body = { kind: 'vm', report } as const;
    const input = { type: 'pilot.notified', slotId: bench.slotId, node: 'n0', at: bench.now, body } as const;
    bench.step({ ...input, seq: 5 });
    expect(bench.vmStates).toEqual(['starting']);
    expect(isEmpty(bench.step({ ...input, seq: 5 }))).toBe(true);
    expect(isEmpty(bench.step({ ...input, seq: 3 }))).toBe(true);
  });

  it("carry the node's clock into the history", () => {
    const bench = new LeaseBench().reserved(1);
    const at = bench.now - 1_234;
    const report = { vmId: must(bench.vms[0]).id, state: 'propagating', context: 'pending' } as const;
    bench.step({
      type: 'pilot.notified',
      slotId: bench.slotId,
      node: 'n0',
      seq: 9,
      at,
      body: { kind: 'vm', report },
    });
    expect(bench.events.at(-1)).toMatchObject({ type: 'vm.propagating', at, node: 'n0' });
  });

  it('about slots that nobody knows, or that are over, change nothing that matters', () => {
    const bench = new LeaseBench().running(1);
    const other = {
      type: 'pilot.connected',
      slotId: 'slot-zzzzzzzzzz',
      node: 'n0',
      address: 'a',
      vms: [],
    } as const;
    expect(isEmpty(bench.step(other))).toBe(true);
    bench.now += 1;
    bench.observed(undefined);
    expect(isEmpty(bench.connect('n0'))).toBe(true);
    bench.node('n0', 'released');
    expect(bench.slot.state).toBe('failed');
  });
});

describe('reports of VMs', () => {
  it('move them forward, never back', () => {
    const bench = new LeaseBench().reserved(1);
    bench.vm(0, 'starting');
    bench.vm(0, 'propagating');
    expect(bench.vmStates).toEqual(['starting']);
    bench.vm(0, 'running');
    bench.destroy();
    bench.vm(0, 'running');
    expect(bench.vmStates).toEqual(['stopping']);
    bench.vm(0, 'terminated');
    bench.vm(0, 'failed');
    expect(bench.vmStates).toEqual(['terminated']);
  });

  it('carry what guests say of their context', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'running', { context: 'ok' });
    const reason = { code: 'user_data', message: 'exit code 3' };
    bench.vm(1, 'running', { context: 'error', reason });
    expect(bench.vms.map(vm => [vm.context, vm.reason])).toEqual([
      ['ok', null],
      ['error', reason],
    ]);
    bench.vm(0, 'running', { context: 'pending' });
    expect(bench.vms[0]?.context).toBe('ok');
    expect(bench.events.filter(({ type }) => type.startsWith('vm.context.'))).toHaveLength(2);
    bench.vm(0, 'rebooting');
    bench.vm(0, 'running', { context: 'pending' });
    expect(bench.vms[0]?.context).toBe('pending');
  });

  it('stop a VM that runs where it was not placed', () => {
    const bench = new LeaseBench().running(2);
    const stray = { vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' } as const;
    const own = { ...stray, vmId: must(bench.vms[1]).id };
    const decision = bench.connect('n1', [own, stray]);
    expect(decision.effects).toMatchObject([
      { kind: 'pilot', node: 'n1', order: { kind: 'stop-vm', vmId: stray.vmId, graceMs: 0 } },
    ]);
    expect(bench.vmStates).toEqual(['running', 'running']);
  });
});

describe('a pilot that comes back', () => {
  it('is believed: a VM that it does not have any more is lost', () => {
    const bench = new LeaseBench().running(2);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    expect(bench.workspace.state).toBe('running');
    bench.connect('n0');
    expect(bench.vms[0]).toMatchObject({ state: 'failed', reason: { code: 'vm_lost' } });
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed', reason: { code: 'vm_lost' } });
  });

  it('has not lost what it was told to stop', () => {
    const bench = new LeaseBench().running(2);
    bench.destroy();
    bench.connect('n0');
    expect(bench.vms[0]).toMatchObject({ state: 'stopping' });
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'destroyed' });
    bench.vm(0, 'terminated');
    expect(bench.vms[0]).toMatchObject({ state: 'terminated' });
  });

  it('does not know better than the LRM when the job ends', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    const reserved = (node: string, jobEndsAt: number): void =>
      void bench.notify(node, { kind: 'node', state: 'reserved', jobEndsAt });
    reserved('n0', bench.now + 3_600_000);
    expect(bench.slot.jobEndsAt).toBe(bench.now + 3_600_000);
    bench.observed({ endsAt: bench.now + 4_000_000 });
    reserved('n1', bench.now + 3_600_000);
    expect(bench.slot.jobEndsAt).toBe(bench.now + 4_000_000);
  });

  it('of a slot that is taken back gives guests half of the warning time, as their own pilot does', () => {
    const bench = new LeaseBench({ shutdownGraceMs: 25_000 }).running(2);
    const told = bench.node('n0', 'preempting');
    const [release] = bench.ordersOf(told, 'release');
    expect(release).toMatchObject({ node: 'n1', graceMs: 15_000 });
  });

  it('is not asked about what it may not have been told to start yet', () => {
    const bench = new LeaseBench().reserved(1);
    bench.connect('n0');
    expect(bench.vmStates).toEqual(['pending']);
  });

  it('tells what happened meanwhile', () => {
    const bench = new LeaseBench().reserved(1);
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    expect(bench.workspace.state).toBe('running');
    expect(
      isEmpty(bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }])),
    ).toBe(true);
  });
});

describe('a pilot that is silent', () => {
  function connected(count: number): LeaseBench {
    const bench = new LeaseBench().running(count, { durationMs: 3_600_000 });
    connect(bench);
    return bench;
  }
  const connect = (bench: LeaseBench): unknown =>
    bench.connect(
      'n0',
      bench.vms
        .filter(({ node }) => node === 'n0')
        .map(({ id, state, context }) => ({ vmId: id, state, context })),
    );
  const silent = (bench: LeaseBench): unknown =>
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });

  it('for too long is lost: the slot is given up, and its guests are off when their pilots say so, or the LRM', () => {
    const bench = connected(2);
    silent(bench);
    bench.atDeadline();
    expect(bench.now).toBe(startedAt + 300_000);
    const reason = {
      code: 'pilot_lost',
      message: 'the service has heard nothing from the pilot on n0 for 5m',
    };
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'failed', reason });
    expect(bench.slot).toMatchObject({ state: 'releasing', reason });
    bench.node('n1', 'released');
    expect(bench.vmStates).toEqual(['stopping', 'terminated']);
    // No order reaches the silent one, and nobody else is to be waited for.
    expect(bench.effects.at(-1)).toMatchObject({ kind: 'lrm.cancel', jobId: '7' });
    bench.after(1_000);
    bench.observed({ state: 'cancelled' });
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'failed', reason });
    expect(bench.slot.state).toBe('released');
  });

  it('and comes back in time goes on as before', () => {
    const bench = connected(1);
    silent(bench);
    bench.after(299_999);
    connect(bench);
    bench.after(600_000);
    expect(bench.workspace.state).toBe('running');
  });

  it('has its time again when it was the service that was away', () => {
    const bench = connected(1);
    silent(bench);
    bench.now += 600_000;
    bench.step({ type: 'service.started' });
    bench.after(299_999);
    expect(bench.workspace.state).toBe('running');
    bench.after(1);
    expect(bench.workspace).toMatchObject({ cause: 'failed', reason: { code: 'pilot_lost' } });
  });
});

describe('a node that fails', () => {
  it('ends what was to end, and makes the rest fail', () => {
    const bench = new LeaseBench().running(2);
    bench.destroy();
    bench.node('n0', 'failed');
    expect(bench.vmStates).toEqual(['terminated', 'stopping']);
    const other = new LeaseBench().running(2);
    other.node('n0', 'failed');
    expect(other.vmStates).toEqual(['failed', 'stopping']);
  });
});

describe('preemption', () => {
  it('original defect 12, on preemption nothing destroys a VM but its expiry: that of one node is told to all others at once, and the workspace ends', () => {
    const bench = new LeaseBench().running(3);
    const reason = { code: 'lrm_signal', message: 'the batch scheduler sent SIGTERM to the pilot' };
    const decision = bench.notify('n1', { kind: 'node', state: 'preempting', reason });
    expect(decision.effects).toMatchObject([
      { kind: 'pilot', node: 'n0', order: { kind: 'release', graceMs: 10_000 } },
      { kind: 'pilot', node: 'n2', order: { kind: 'release', graceMs: 10_000 } },
    ]);
    expect(bench.slot.state).toBe('preempting');
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'preempted',
      reason: { code: 'lrm_signal' },
    });
    for (const node of ['n0', 'n1', 'n2']) bench.node(node, 'releasing');
    expect(bench.slot.state).toBe('releasing');
    for (const node of ['n0', 'n1', 'n2']) bench.node(node, 'released');
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted' });
    bench.observed({ state: 'cancelled' });
    expect(bench.slot.state).toBe('released');
  });

  it('near the end of the lease does not outlast it, on the node that was told first either', () => {
    const bench = new LeaseBench().running(2, { durationMs: 600_000 });
    bench.now = startedAt + 600_000 - 10_001;
    expect(bench.node('n0', 'preempting').effects).toMatchObject([
      { kind: 'pilot', node: 'n0', order: { kind: 'release', graceMs: 9_001 } },
      { kind: 'pilot', node: 'n1', order: { kind: 'release', graceMs: 9_001 } },
    ]);
  });

  it('that stalls is finished by the LRM', () => {
    const bench = new LeaseBench().running(2);
    bench.node('n0', 'preempting');
    expect(bench.atDeadline().effects).toMatchObject([{ kind: 'lrm.cancel' }]);
    expect(bench.slot.state).toBe('releasing');
  });

  it('of a slot that is being released anyway leaves the guests of its other nodes no more time', () => {
    const bench = new LeaseBench({ shutdownGraceMs: 25_000 }).running(2);
    bench.connect('n1', [{ vmId: bench.vms[1]?.id ?? '', state: 'running', context: 'none' }]);
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n1' });
    const lost = bench.after(300_000);
    expect(bench.ordersOf(lost, 'release')).toMatchObject([{ graceMs: 25_000 }, { graceMs: 25_000 }]);
    const told = bench.node('n0', 'preempting');
    expect(bench.ordersOf(told, 'release')).toMatchObject([{ node: 'n1', graceMs: 15_000 }]);
    expect(bench.slot.state).toBe('releasing');
  });

  it('of a slot that is being released anyway is just one more step', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    bench.vm(0, 'terminated');
    bench.node('n0', 'preempting');
    expect(bench.slot.state).toBe('releasing');
    expect(bench.workspace.cause).toBe('destroyed');
  });
});

describe('a pilot that leaves by itself', () => {
  it('takes the ensemble with it', () => {
    const bench = new LeaseBench().running(2);
    const decision = bench.node('n0', 'releasing');
    expect(bench.workspace).toMatchObject({
      state: 'ending',
      cause: 'preempted',
      reason: { code: 'node_left' },
    });
    expect(decision.effects).toMatchObject([{ kind: 'pilot', node: 'n1', order: { kind: 'stop-vm' } }]);
    bench.node('n0', 'released');
    expect(bench.vmStates).toEqual(['terminated', 'stopping']);
    expect(bench.vm(1, 'terminated').effects).toMatchObject([
      { kind: 'pilot', node: 'n1', order: { kind: 'release' } },
    ]);
  });

  it('is told to be quick when the lease ends before its own grace is over', () => {
    const bench = new LeaseBench().running(1);
    const { endsAt } = bench.workspace;
    bench.now = (endsAt ?? 0) - 600;
    const decision = bench.node('n0', 'releasing');
    expect(kindsOf(decision.effects)).toEqual(['release']);
    const [order] = bench.ordersOf(decision, 'release');
    expect(order?.node).toBe('n0');
    expect(order && 'graceMs' in order ? order.graceMs : undefined).toBeLessThan(600);
  });
});

describe('the end of the job’s walltime', () => {
  const atWalltime = (): LeaseBench => {
    const bench = new LeaseBench().running(2);
    // An administrator has cut the job short.
    bench.observed({ endsAt: bench.now + 1_000 });
    return bench;
  };
  const expired = { state: 'ending', cause: 'expired', reason: { code: 'walltime' } };

  it('is told from a preemption when a pilot leaves because of it', () => {
    const bench = atWalltime();
    bench.node('n0', 'releasing');
    expect(bench.workspace).toMatchObject(expired);
  });

  it('is told from a preemption when the LRM signals it', () => {
    const bench = atWalltime();
    const reason = { code: 'lrm_signal', message: 'the batch scheduler sent SIGTERM to the pilot' };
    const { effects } = bench.notify('n0', { kind: 'node', state: 'preempting', reason });
    expect(bench.workspace).toMatchObject(expired);
    expect(bench.slot).toMatchObject({ state: 'preempting', reason: { code: 'walltime' } });
    expect(effects).toContainEqual(
      expect.objectContaining({ node: 'n1', order: expect.objectContaining({ kind: 'release' }) as unknown }),
    );
  });
});

describe('a node that cannot be undone', () => {
  it('says so each time that it was tried, until it is as it was', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    bench.vm(0, 'terminated');
    bench.node('n0', 'releasing');
    const reason = { code: 'undo_failed', message: 'process 7 does not end; tried again in 1 s' };
    const { events } = bench.notify('n0', { kind: 'node', state: 'releasing', reason });
    expect(events).toMatchObject([{ type: 'node.not-undone', node: 'n0', reason }]);
    expect(bench.slot.nodes).toMatchObject([{ state: 'releasing', reason }]);
    bench.node('n0', 'released');
    expect(bench.slot.nodes).toMatchObject([{ state: 'released', reason: null }]);
  });

  it('is told of, with the reason, when it is given up', () => {
    const bench = new LeaseBench().running(1);
    bench.destroy();
    bench.vm(0, 'terminated');
    bench.node('n0', 'releasing');
    const reason = { code: 'undo_failed', message: 'process 7 does not end' };
    bench.notify('n0', { kind: 'node', state: 'failed', reason });
    expect(bench.slot.nodes).toMatchObject([{ state: 'failed', reason }]);
  });
});

describe('security 7: what goes to and fro without end', () => {
  const eventsOf = (bench: LeaseBench, from: number, prefix: string): number =>
    bench.events.slice(from).filter(({ type }) => type.startsWith(prefix)).length;

  it('as a guest’s word changes the VM, and is counted', () => {
    const bench = new LeaseBench().running(1);
    const from = bench.events.length;
    const reason = { code: 'context_failed', message: 'no' };
    for (let round = 0; round < 500; round++) {
      bench.vm(0, 'running', { context: 'error', reason });
      bench.vm(0, 'running', { context: 'ok' });
    }
    expect(eventsOf(bench, from, 'vm.')).toBeLessThanOrEqual(mostTold);
    expect(bench.vms[0]).toMatchObject({ context: 'ok', state: 'running' });
    expect(must(bench.vms[0]).told).toBeGreaterThanOrEqual(1_000);
    bench.vm(0, 'failed', { reason });
    expect(bench.events.map(({ type }) => type)).toContain('vm.failed');
  });

  it('as states that nobody has ordered, orders that fail and connections', () => {
    const bench = new LeaseBench().running(1);
    const from = bench.events.length;
    for (let round = 0; round < 500; round++) {
      bench.vm(0, 'paused');
      bench.vm(0, 'running');
      bench.vm(0, 'running', { reason: { code: 'operation_failed', message: 'no' } });
      bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'pending' }]);
      bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    }
    expect(eventsOf(bench, from, 'vm.')).toBeLessThanOrEqual(mostTold);
    expect(eventsOf(bench, from, 'node.')).toBeLessThanOrEqual(mostTold);
  });

  it('as VMs that the slot does not have, which are ordered to stop', () => {
    const bench = new LeaseBench().running(1);
    for (let index = 0; index < 2_000; index++)
      bench.notify('n0', {
        kind: 'vm',
        report: { vmId: `ws-zzzzzzzzzz.x-${index}`, state: 'running', context: 'none' },
      });
    expect(kindsOf(bench.effects).filter(kind => kind === 'stop-vm').length).toBeLessThanOrEqual(mostTold);
  });

  it('but what clients order is always told: usage is made of it', () => {
    const bench = new LeaseBench().running(1);
    for (let round = 0; round < 300; round++) {
      const order = { workspaceId: bench.ws, by: 'ann', target: undefined, graceMs: undefined };
      bench.step({ type: 'operate', operation: 'shutdown', ...order });
      bench.vm(0, 'stopping');
      bench.vm(0, 'stopped');
      bench.step({ type: 'operate', operation: 'start', ...order });
      bench.vm(0, 'starting');
      bench.vm(0, 'running', { context: 'pending' });
      bench.vm(0, 'running', { context: 'ok' });
    }
    expect(eventsOf(bench, 0, 'vm.stopped')).toBe(300);
  });
});

describe('security 18: a pilot of an invented node', () => {
  const invented = Array.from({ length: 400 }, (_, index) => `evil-${index}`);
  const names = (bench: LeaseBench): readonly string[] => bench.slot.nodes.map(({ name }) => name);

  it('is none of a slot whose nodes the LRM has told', () => {
    const bench = new LeaseBench().running(1);
    bench.observed({ nodes: ['n0'] });
    for (const name of invented) {
      expect(isEmpty(bench.connect(name))).toBe(true);
      bench.node(name, 'failed');
    }
    expect(names(bench)).toEqual(['n0']);
    expect(bench.workspace.state).toBe('running');
  });

  it('has room for few others where the LRM does not tell', () => {
    const bench = new LeaseBench().running(1);
    for (const name of invented) bench.connect(name);
    expect(names(bench).length).toBeLessThan(10);
  });

  it('does not take the place of a real one that comes later, nor do many that sound like it', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    for (const name of invented) bench.connect(name);
    bench.observed({ nodes: ['n0.site.test'] });
    for (const name of invented) bench.connect(`n0.${name}`);
    expect(names(bench).length).toBeLessThan(10);
    const decision = bench.connect('n0.site.test');
    expect(names(bench)).toContain('n0.site.test');
    bench.node('n0.site.test', 'reserved');
    expect(bench.ordersOf(decision, 'release')).toEqual([]);
  });

  it('is not told by a name with or without its domain, or where the LRM calls its nodes otherwise', () => {
    for (const given of ['n0.site.test', 'N0', 'ib-of-n0']) {
      const bench = new LeaseBench();
      bench.create(1);
      bench.submitted();
      bench.observed({ nodes: [given] });
      bench.node('n0', 'reserved');
      expect(bench.slot.state).toBe('ready');
    }
  });

  it('is believed again when the job has been started on other nodes', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.observed({ nodes: ['n0'] });
    bench.connect('n0');
    expect(isEmpty(bench.connect('n1'))).toBe(true);
    bench.now += 1;
    bench.observed({ nodes: ['n1'] });
    bench.connect('n1');
    expect(names(bench)).toEqual(['n0', 'n1']);
  });
});
