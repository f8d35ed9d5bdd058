import { describe, expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';
import type { VmOperation } from '../protocol/cluster.ts';
import type { VmState } from '../protocol/states.ts';
import { decide } from './decide.ts';
import type { LeaseInput } from './inputs.ts';

const order = (
  bench: LeaseBench,
  operation: VmOperation,
  target?: string,
  graceMs?: number,
): Extract<LeaseInput, { type: 'operate' }> => ({
  type: 'operate',
  workspaceId: bench.ws,
  by: 'ann',
  operation,
  target,
  graceMs,
});

describe('an order', () => {
  it('reaches a VM, the VMs of a group, or all of them', () => {
    const bench = new LeaseBench().running(3);
    const nodes = (target?: string) =>
      bench.step(order(bench, 'pause', target)).effects.map(effect => 'node' in effect && effect.node);
    expect(nodes('node-1')).toEqual(['n1']);
    expect(nodes('node')).toEqual(['n0', 'n1', 'n2']);
    expect(nodes()).toEqual(['n0', 'n1', 'n2']);
  });

  it('is each time another one, with the time that guests get', () => {
    const bench = new LeaseBench().running(1);
    const [first] = bench.step(order(bench, 'shutdown', undefined, 4_000)).effects;
    const [second] = bench.step(order(bench, 'shutdown')).effects;
    expect(first).toMatchObject({
      kind: 'pilot',
      order: { kind: 'operate-vm', operation: 'shutdown', graceMs: 4_000 },
    });
    expect(second).toMatchObject({ order: { graceMs: 10_000 } });
    expect(first?.key).not.toBe(second?.key);
  });

  it('that a pilot carries out late does not bring up a VM of a workspace that is ending', () => {
    const bench = new LeaseBench().running(1);
    bench.step(order(bench, 'shutdown'));
    bench.destroy();
    bench.vm(0, 'stopped');
    bench.vm(0, 'running');
    expect(bench.vmStates).toEqual(['stopped']);
    bench.vm(0, 'terminated');
    expect(bench.vmStates).toEqual(['terminated']);
  });

  it('that is fulfilled already is no mistake', () => {
    const bench = new LeaseBench().running(2);
    bench.step(order(bench, 'pause'));
    bench.vm(0, 'paused');
    expect(bench.step(order(bench, 'pause')).effects).toHaveLength(1);
    expect(bench.step(order(bench, 'resume')).effects).toHaveLength(1);
  });

  it('that one VM cannot follow is given to none', () => {
    const bench = new LeaseBench().running(2);
    bench.step(order(bench, 'shutdown'));
    bench.vm(0, 'stopping');
    bench.vm(0, 'stopped');
    expect(bench.refusal(order(bench, 'pause'))).toMatchObject({
      code: 'conflict',
      message: 'VM node-0 is stopped: pause is not possible',
    });
    expect(bench.refusal(order(bench, 'pause', 'nobody')).code).toBe('not_found');
  });

  it('is refused before the lease has begun and when it is over', () => {
    const bench = new LeaseBench().reserved(1);
    expect(bench.refusal(order(bench, 'pause'))).toMatchObject({ code: 'conflict' });
  });

  it('follows the reports: stopped VMs keep the lease, and start again', () => {
    const bench = new LeaseBench().running(2);
    bench.step(order(bench, 'shutdown'));
    for (const index of [0, 1]) {
      bench.vm(index, 'stopping');
      bench.vm(index, 'stopped');
    }
    expect(bench.workspace.state).toBe('running');
    bench.step(order(bench, 'start', 'node-0'));
    bench.vm(0, 'starting');
    bench.vm(0, 'running');
    expect(bench.vmStates).toEqual(['running', 'stopped']);
    bench.destroy();
    expect(bench.vmStates).toEqual(['stopping', 'stopping']);
    bench.vm(1, 'terminated');
    bench.vm(0, 'terminated');
    expect(bench.workspace.state).toBe('ended');
  });

  it('destroys a VM for good; the rest goes on, and the last one ends the lease', () => {
    const bench = new LeaseBench().running(2);
    expect(bench.step(order(bench, 'destroy', 'node-0')).effects).toMatchObject([
      { kind: 'pilot', order: { kind: 'stop-vm', graceMs: 0 } },
    ]);
    bench.vm(0, 'terminated');
    expect(bench.workspace.state).toBe('running');
    expect(bench.refusal(order(bench, 'start', 'node-0')).code).toBe('conflict');
    bench.step(order(bench, 'destroy'));
    bench.vm(1, 'terminated');
    expect(bench.workspace).toMatchObject({ state: 'ended', reason: { code: 'guest_shutdown' } });
  });

  it('to shut down is not cut short by the end of the workspace: guests get their time', () => {
    const bench = new LeaseBench().running(1);
    bench.step(order(bench, 'shutdown'));
    bench.vm(0, 'stopping');
    expect(bench.destroy().effects).toMatchObject([
      { kind: 'pilot', order: { kind: 'stop-vm', graceMs: 10_000 } },
    ]);
  });

  it('that fails on the node is told of', () => {
    const bench = new LeaseBench().running(1);
    bench.step(order(bench, 'pause'));
    bench.vm(0, 'running', { reason: { code: 'operation_failed', message: 'QMP says no' } });
    expect(bench.events.at(-1)).toMatchObject({
      type: 'vm.operation-failed',
      reason: { message: 'QMP says no' },
    });
  });
});

describe('which orders a VM takes', () => {
  /** By its state: what is carried out, and what has no effect because it is so already. All else is refused. */
  const table: Readonly<Record<VmState, readonly [ordered: string, already: string]>> = {
    pending: ['destroy', ''],
    propagating: ['destroy', ''],
    starting: ['destroy', 'start'],
    running: ['shutdown pause reboot destroy', 'start resume'],
    paused: ['shutdown resume reboot destroy', 'pause'],
    rebooting: ['shutdown destroy', 'start reboot'],
    stopping: ['destroy', 'shutdown'],
    stopped: ['start destroy', 'shutdown'],
    terminated: ['', 'shutdown destroy'],
    failed: ['', 'destroy'],
  };
  const operations = ['start', 'shutdown', 'pause', 'resume', 'reboot', 'destroy'] as const;

  it.each(Object.entries(table) as [VmState, readonly [string, string]][])(
    'that is %s',
    (state, [ordered, already]) => {
      const outcomeOf = (operation: VmOperation): string => {
        const bench = new LeaseBench().running(1);
        const [vm] = bench.vms;
        if (vm) bench.maps.vms.set(vm.id, { ...vm, state });
        const outcome = decide(bench.state, order(bench, operation), bench.now);
        if (!outcome.ok) return `refused: ${outcome.refusal.code}`;
        return outcome.decision.events.some(({ type }) => type === 'vm.ordered') ? 'ordered' : 'already';
      };
      const words = (list: string): readonly string[] => list.split(' ');
      for (const operation of operations) {
        const expected = words(ordered).includes(operation) ? 'ordered' : 'already';
        const refused = expected === 'already' && !words(already).includes(operation);
        expect([operation, outcomeOf(operation)]).toEqual([
          operation,
          refused ? 'refused: conflict' : expected,
        ]);
      }
    },
  );
});

describe('an order in the history', () => {
  it('has who gave it; each is counted, and has a key of its own', () => {
    const bench = new LeaseBench().running(1);
    const { events } = bench.step(order(bench, 'pause'));
    expect(events).toMatchObject([
      {
        type: 'vm.ordered',
        workspaceId: bench.ws,
        reason: { code: 'pause', message: 'pause ordered by ann' },
      },
    ]);
    expect(bench.vms).toMatchObject([{ orders: 1 }]);
    bench.step(order(bench, 'pause'));
    expect(bench.effects.slice(-2).map(({ key }) => key)).toEqual([
      `operate:${bench.vms[0]?.id}:${bench.now}:1`,
      `operate:${bench.vms[0]?.id}:${bench.now}:2`,
    ]);
  });

  it('has a key that no order had which a restored backup does not know: a pilot obeys a key once', () => {
    const [lost, restored] = [new LeaseBench().running(1), new LeaseBench().running(1)];
    lost.step(order(lost, 'pause'));
    restored.after(60_000);
    restored.step(order(restored, 'pause'));
    expect(restored.vms).toMatchObject([{ id: lost.vms[0]?.id, orders: lost.vms[0]?.orders }]);
    expect(restored.effects.at(-1)?.key).not.toBe(lost.effects.at(-1)?.key);
  });

  it('is refused without a workspace, and while one is ending', () => {
    const bench = new LeaseBench().running(1);
    expect(bench.refusal({ ...order(bench, 'pause'), workspaceId: 'ws-zzzzzzzzzz' }).code).toBe('not_found');
    bench.destroy();
    expect(bench.refusal(order(bench, 'destroy')).code).toBe('conflict');
  });
});
