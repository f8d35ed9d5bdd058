import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { contextStates, vmStates } from '../protocol/states.ts';
import { isEmpty } from './decide.ts';
import { mostTold } from './told.ts';
import { isFinalVm, isUpVm } from './transitions.ts';

it('a guest is up while it runs, is paused or reboots', () => {
  expect(vmStates.filter(isUpVm)).toEqual(['running', 'paused', 'rebooting']);
});

describe('a report of a VM', () => {
  it.each(vmStates)('that is of another slot, or of none, has it stopped unless it is over: %s', state => {
    const bench = new LeaseBench().running(1);
    const other = new LeaseBench().running(1);
    const [vm] = other.vms;
    const elsewhere = { ...must(vm), id: 'ws-bbbbbbbbbb.node-0', slotId: 'slot-bbbbbbbbbb' };
    bench.maps.vms.set(elsewhere.id, elsewhere);
    for (const vmId of [elsewhere.id, 'ws-zzzzzzzzzz.node-0']) {
      const report = { vmId, state, context: 'none' } as const;
      const decision = bench.notify('n0', { kind: 'vm', report });
      const stopped = bench.ordersOf(decision, 'stop-vm');
      expect(stopped).toMatchObject(isFinalVm(state) ? [] : [{ vmId, graceMs: 0, node: 'n0' }]);
      expect(decision.vms).toEqual([]);
    }
  });

  it('that is over changes nothing any more, nor what it says of its context', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'terminated');
    const { events } = bench.vm(0, 'terminated', { context: 'ok' });
    expect(events).toEqual([]);
    expect(bench.vms[0]?.context).toBe('pending');
  });

  it('has the node’s own time and reason', () => {
    const bench = new LeaseBench().running(1);
    const at = bench.now - 1_234;
    const [vm] = bench.vms;
    const reason = { code: 'guest', message: 'it was asked to' };
    const report = { vmId: must(vm).id, state: 'paused', context: 'ok', reason } as const;
    const input = { type: 'pilot.notified', slotId: bench.slotId, node: 'n0', seq: 99, at } as const;
    bench.step({ ...input, body: { kind: 'vm', report } });
    expect(bench.events.slice(-2)).toMatchObject([
      { type: 'vm.context.ok', at, vmId: must(vm).id, reason: null },
      { type: 'vm.paused', at, vmId: must(vm).id, reason },
    ]);
  });

  it('that an order has failed is one only when the VM is as it was', () => {
    const bench = new LeaseBench().running(1);
    bench.vm(0, 'stopping');
    const reason = { code: 'operation_failed', message: 'no' };
    expect(bench.vm(0, 'running', { reason }).events).toEqual([]);
    expect(bench.vm(0, 'stopping').events).toEqual([]);
    expect(bench.vm(0, 'stopping', { reason }).events).toMatchObject([
      { type: 'vm.operation-failed', reason },
    ]);
  });

  it('has no reason for a failure when the node gave none, and none for anything else', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'paused');
    bench.vm(1, 'failed');
    expect(bench.vms.map(({ reason }) => reason?.code ?? null)).toEqual([null, 'vm_failed']);
  });
});

describe('what a guest says of itself', () => {
  const steps = ['pending ok', 'pending error', 'ok error', 'error ok'];
  const pairs = contextStates.flatMap(from => contextStates.map(to => [from, to] as const));

  it.each(pairs)('after %s may be %s, or is not heard', (from, to) => {
    const bench = new LeaseBench().running(1);
    const vm = must(bench.vms[0]);
    bench.maps.vms.set(vm.id, { ...vm, context: from });
    const reason = { code: 'user_data', message: 'exit code 3' };
    const { events } = bench.vm(0, 'running', { context: to, reason });
    const isStep = steps.includes(`${from} ${to}`);
    expect(bench.vms[0]?.context).toBe(isStep ? to : from);
    const told = [{ type: `vm.context.${to}`, reason: to === 'error' ? reason : null }];
    expect(events).toMatchObject(isStep ? told : []);
  });

  it.each([
    ['stopped', 'running', 'pending', true],
    ['rebooting', 'running', 'pending', true],
    ['paused', 'stopped', 'pending', false],
    ['stopped', 'running', 'error', true],
    ['stopped', 'starting', 'pending', false],
    ['stopped', 'running', 'none', false],
  ] as const)(
    'begins anew only when it comes up again: %s, then %s and %s: %s',
    (from, to, context, isTaken) => {
      const bench = new LeaseBench().running(1);
      const vm = must(bench.vms[0]);
      bench.maps.vms.set(vm.id, { ...vm, state: from, context: 'ok' });
      bench.vm(0, to, { context });
      expect(bench.vms[0]).toMatchObject({ state: to, context: isTaken ? context : 'ok' });
    },
  );
});

describe('what is told of a VM and of a node, at most', () => {
  const rounds = mostTold + 20;

  it('is that many words of a guest; the end is told all the same', () => {
    const bench = new LeaseBench().running(1);
    const from = bench.events.length;
    const { told } = must(bench.vms[0]);
    for (let round = 0; round < rounds; round++)
      bench.vm(0, 'running', { context: round % 2 === 0 ? 'ok' : 'error' });
    expect(bench.events.length - from).toBe(mostTold - told);
    expect(bench.vms[0]?.told).toBe(told + rounds);
    bench.vm(0, 'paused');
    expect(bench.vms[0]?.state).toBe('paused');
    expect(bench.events.length - from).toBe(mostTold - told);
    bench.vm(0, 'terminated');
    expect(bench.events.map(({ type }) => type)).toContain('vm.terminated');
  });

  it('grows with what clients order, eight for each', () => {
    const bench = new LeaseBench().running(1);
    const vm = must(bench.vms[0]);
    bench.maps.vms.set(vm.id, { ...vm, told: mostTold + 15, orders: 2 });
    const types = ['paused', 'running'].map(state => bench.vm(0, state as 'paused').events.length);
    expect(types).toEqual([1, 0]);
  });

  it('is counted for each node by itself', () => {
    const bench = new LeaseBench().running(2);
    const stray = (node: string, index: number): number => {
      const report = { vmId: `ws-zzzzzzzzzz.x-${index}`, state: 'running', context: 'none' } as const;
      return bench.notify(node, { kind: 'vm', report }).effects.length;
    };
    let ordered = 0;
    for (let index = 0; index < rounds; index++) ordered += stray('n0', index);
    expect(ordered).toBe(mostTold);
    expect(bench.slot.nodes.map(({ told }) => told)).toEqual([rounds, 0]);
    expect(stray('n1', 0)).toBe(1);
  });
});

describe('an order to stop', () => {
  const ordered = (state: 'reserving' | 'reserved' | 'releasing'): number => {
    const bench = new LeaseBench().running(1);
    const [node] = bench.slot.nodes;
    bench.maps.slots.set(bench.slotId, { ...bench.slot, nodes: [{ ...must(node), state }] });
    return bench.ordersOf(bench.destroy(), 'stop-vm').length;
  };

  it('is given to nodes that take orders: one that leaves stops its VMs by itself', () => {
    expect([ordered('reserving'), ordered('reserved'), ordered('releasing')]).toEqual([1, 1, 0]);
  });

  it('is nothing for a VM that is off', () => {
    const bench = new LeaseBench().running(2);
    bench.vm(0, 'terminated');
    expect(bench.ordersOf(bench.destroy(), 'stop-vm')).toMatchObject([{ node: 'n1' }]);
    expect(isEmpty(bench.destroy())).toBe(true);
  });
});
