import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';
import { mostTold } from './told.ts';
import type { Decision } from './decision.ts';
import type { LeaseInput } from './inputs.ts';

describe('a pilot’s connection', () => {
  const disconnected = (bench: LeaseBench, node: string, hungUp = false): Decision =>
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node, hungUp });
  const typesOf = ({ events }: Decision): readonly string[] => events.map(({ type }) => type);

  it('is told of when it begins and when it ends, once each', () => {
    const bench = new LeaseBench().reserved(2);
    expect(isEmpty(disconnected(bench, 'n0'))).toBe(true);
    expect(typesOf(bench.connect('n0'))).toEqual(['node.connected']);
    expect(typesOf(bench.connect('n0'))).toEqual([]);
    expect(isEmpty(disconnected(bench, 'n1'))).toBe(true);
    expect(isEmpty(bench.step({ type: 'pilot.disconnected', slotId: 'slot-x', node: 'n0' }))).toBe(true);
    expect(disconnected(bench, 'n0').events).toMatchObject([{ type: 'node.disconnected', node: 'n0' }]);
    expect(typesOf(bench.connect('n0'))).toEqual(['node.connected']);
  });

  it('is all that is known of a node that has said nothing yet, and makes nobody of before silent', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.connect('n0');
    const node = { name: 'n0', state: 'reserving', reason: null, address: '10.0.0.1', appliedSeq: 0 };
    const heard = { connected: true, silentSince: null, hungUp: false };
    expect(bench.slot.nodes).toMatchObject([{ ...node, ...heard }]);
    disconnected(bench, 'n0', true);
    expect(bench.slot.nodes).toMatchObject([{ connected: false, silentSince: bench.now, hungUp: true }]);
    bench.connect('n0');
    expect(bench.slot.nodes).toMatchObject([heard]);
    const moved = { type: 'pilot.connected', slotId: bench.slotId, node: 'n0', address: '10.0.0.2', vms: [] };
    bench.step(moved as LeaseInput);
    expect(bench.slot.nodes).toMatchObject([{ address: '10.0.0.2' }]);
  });

  it('has the address that the pilot tells, until it tells another', () => {
    const bench = new LeaseBench();
    bench.create(1);
    bench.submitted();
    bench.notify('n0', { kind: 'node', state: 'reserving', address: '10.0.0.7' });
    bench.node('n0', 'reserved');
    expect(bench.slot.nodes).toMatchObject([{ state: 'reserved', address: '10.0.0.7' }]);
  });

  it('is waited for while the slot is being reserved, for as long as that may take', () => {
    const bench = new LeaseBench({ pilotSilenceMs: 5_000 });
    bench.create(2);
    bench.submitted();
    bench.connect('n0');
    disconnected(bench, 'n0');
    bench.after(59_999);
    expect(bench.slot.state).toBe('reserving');
    bench.after(1);
    expect(bench.workspace.reason?.code).toBe('reserve_timeout');
  });

  it('that is lost on several nodes is told with the longest silence; no VM is ordered, every node is', () => {
    const bench = new LeaseBench().running(2);
    for (const index of [0, 1])
      bench.connect(`n${index}`, [{ vmId: must(bench.vms[index]).id, state: 'running', context: 'ok' }]);
    disconnected(bench, 'n0');
    bench.now += 290_000;
    disconnected(bench, 'n1', true);
    const decision = bench.after(16_000);
    expect(bench.workspace.reason?.message).toBe(
      'the service has heard nothing from the pilot on n0, n1 (its node has closed the connection) for 5m6s',
    );
    expect(bench.workspace.endingDeadlineAt).toBe(bench.now + 12_000);
    expect(bench.slot.deadlineAt).toBe(bench.now + 10_000 + 30_000);
    expect(bench.ordersOf(decision, 'stop-vm')).toEqual([]);
    expect(bench.ordersOf(decision, 'release')).toMatchObject([
      { node: 'n0', graceMs: 10_000 },
      { node: 'n1', graceMs: 10_000 },
    ]);
  });
});

describe('a node’s own words', () => {
  it.each([
    ['preempting', 'preempted', 'preempted', 'the batch scheduler wants node n0 back'],
    ['failed', 'failed', 'node_failed', 'node n0 failed'],
  ] as const)('are not needed for %s', (state, cause, code, message) => {
    const bench = new LeaseBench().running(1);
    const { events } = bench.node('n0', state);
    expect(bench.workspace).toMatchObject({ cause, reason: { code, message } });
    expect(events[0]).toMatchObject({ type: `node.${state}`, node: 'n0', reason: null });
  });

  it('are in the history', () => {
    const bench = new LeaseBench().running(1);
    const reason = { code: 'lrm_signal', message: 'SIGTERM' };
    const { events } = bench.notify('n0', { kind: 'node', state: 'preempting', reason });
    expect(events[0]).toMatchObject({ type: 'node.preempting', node: 'n0', reason });
  });

  it('that it has left without being told end what is on it as preempted', () => {
    const bench = new LeaseBench().running(1);
    bench.node('n0', 'released');
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'node_left' } });
    expect(bench.vmStates).toEqual(['terminated']);
  });

  it('that it leaves while others are still being reserved end the workspace', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    bench.node('n0', 'reserved');
    bench.node('n0', 'releasing');
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'node_left' } });
  });

  it('say again that it is releasing without anything new, or what could not be undone of one that has left', () => {
    const bench = new LeaseBench().running(2);
    bench.destroy();
    for (const index of [0, 1]) bench.vm(index, 'terminated');
    bench.node('n0', 'releasing');
    bench.node('n1', 'releasing');
    bench.node('n1', 'released');
    const reason = { code: 'undo_failed', message: 'no' };
    expect(bench.node('n0', 'releasing').events).toEqual([]);
    expect(bench.notify('n1', { kind: 'node', state: 'releasing', reason }).events).toEqual([]);
    expect(bench.notify('n0', { kind: 'node', state: 'reserved', reason }).events).toEqual([]);
    expect(bench.slot.nodes).toMatchObject([{ reason: null }, { state: 'released', reason: null }]);
  });

  it('without end that something cannot be undone are counted', () => {
    const bench = new LeaseBench().running(1);
    bench.node('n0', 'releasing');
    const reason = { code: 'undo_failed', message: 'no' };
    for (let round = 0; round < 300; round++)
      bench.notify('n0', { kind: 'node', state: 'releasing', reason });
    expect(bench.events.filter(({ type }) => type === 'node.not-undone')).toHaveLength(mostTold);
  });

  it('change nothing of a slot that is over, and have nothing asked of the LRM', () => {
    const bench = new LeaseBench().running(1);
    bench.now += 1;
    bench.observed(undefined);
    expect(bench.node('n0', 'releasing').effects).toEqual([]);
    expect(bench.node('n0', 'released').effects).toEqual([]);
    const report = { vmId: 'ws-zzzzzzzzzz.x-0', state: 'running', context: 'none' } as const;
    expect(bench.notify('n0', { kind: 'vm', report }).effects).toEqual([]);
  });
});
