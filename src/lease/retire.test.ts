import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { isEmpty, nextDeadlineAt } from './decide.ts';
import { noQuota, noQuotas } from './quota.ts';

const minute = 60_000;
const retireAfterMs = 10 * minute;

/** A workspace of two VMs that has ended, with its slot. */
function ended(bench: LeaseBench, meanwhile: () => void = () => undefined): LeaseBench {
  bench.running(2);
  meanwhile();
  bench.after(5 * minute);
  bench.destroy();
  for (const index of [0, 1]) bench.vm(index, 'terminated');
  for (const node of ['n0', 'n1']) bench.node(node, 'released');
  bench.observed({ state: 'completed' });
  expect([bench.workspace.state, bench.slot.state]).toEqual(['ended', 'released']);
  return bench;
}

describe('retirement', () => {
  it('is due some time after the end, at a full minute, once for all that ended by then', () => {
    const bench = ended(new LeaseBench({ retireAfterMs }));
    const dueAt = must(bench.workspace.endedAt) + retireAfterMs;
    const next = must(nextDeadlineAt(bench.state));
    expect(next % minute).toBe(0);
    expect(next).toBeGreaterThanOrEqual(dueAt);
    expect(next).toBeLessThan(dueAt + minute);
    expect(isEmpty(bench.after(dueAt - bench.now - 1))).toBe(true);
    const { workspace, slotId, vms } = bench;
    expect(bench.atDeadline().retired).toEqual([
      { slotId, workspaces: [workspace], vmIds: vms.map(({ id }) => id) },
    ]);
    const { workspaces, slots, used } = bench.maps;
    expect([workspaces.size, slots.size, bench.maps.vms.size]).toEqual([0, 0, 0]);
    expect([...used.values()]).toEqual([{ owner: 'ann', project: null, vmMs: 2 * 5 * minute }]);
    expect(nextDeadlineAt(bench.state)).toBeNull();
  });

  it('writes no history: nobody is told', () => {
    const bench = ended(new LeaseBench({ retireAfterMs }));
    const { events, effects } = bench.atDeadline();
    expect([events, effects]).toEqual([[], []]);
  });

  it('waits for a pilot that is still connected', () => {
    const bench = new LeaseBench({ retireAfterMs });
    ended(bench, () => {
      bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    });
    bench.after(2 * retireAfterMs);
    expect(bench.slot.state).toBe('released');
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    bench.atDeadline();
    expect(bench.maps.slots.size).toBe(0);
  });

  it('takes one that was never launched alone', () => {
    const bench = new LeaseBench({ retireAfterMs });
    bench.create(1, { pending: true });
    bench.destroy();
    expect(bench.atDeadline().retired).toMatchObject([{ slotId: null, vmIds: [] }]);
    expect(bench.maps.workspaces.size).toBe(0);
  });

  it('leaves what was used where it counts: minutes are refused as before', () => {
    const quotas = { ...noQuotas, user: { ...noQuota, vmMinutes: 20 } };
    const bench = ended(new LeaseBench({ retireAfterMs, quotas, defaultDurationMs: 8 * minute }));
    const groups = [{ name: 'node', image: 'mini', count: 2, memoryMiB: 256, cpus: 1 }];
    const more = bench.createInput({ groups, durationMs: 6 * minute }, 'b');
    const before = bench.refusal(more);
    expect(before.code).toBe('quota_exceeded');
    bench.atDeadline();
    expect(bench.maps.workspaces.size).toBe(0);
    expect(bench.refusal(more)).toEqual(before);
    bench.step(bench.createInput({ groups, durationMs: 5 * minute }, 'b'));
  });

  it('takes a workspace out of a slot that goes on, but for the last one in it', () => {
    const policy = { kind: 'reuse', keepMs: 120 * minute, factor: 8, vmsPerNode: 1, shared: false } as const;
    const bench = new LeaseBench({ retireAfterMs, policy });
    bench.running(1, { durationMs: 30 * minute });
    bench.destroy();
    bench.vm(0, 'terminated');
    expect([bench.workspace.state, bench.slot.state]).toEqual(['ended', 'ready']);
    bench.after(2 * retireAfterMs);
    expect(bench.maps.workspaces.has(bench.ws)).toBe(true);
    const groups = [{ name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 }];
    bench.step(bench.createInput({ groups, durationMs: 30 * minute }, 'b'));
    expect(bench.slot.workspaceIds).toEqual(['ws-bbbbbbbbbb']);
    bench.after(minute);
    expect(bench.maps.workspaces.has(bench.ws)).toBe(false);
    expect(bench.slot.state).toBe('ready');
  });

  it('keeps a workspace that was started anew as long as its first slot names it', () => {
    const bench = new LeaseBench({ retireAfterMs });
    bench.running(1, { requeue: true });
    bench.connect('n0', [{ vmId: must(bench.vms[0]).id, state: 'running', context: 'ok' }]);
    bench.node('n0', 'preempting');
    bench.vm(0, 'terminated');
    bench.node('n0', 'released');
    bench.observed({ state: 'preempted' });
    bench.step({ type: 'pilot.disconnected', slotId: bench.slotId, node: 'n0' });
    bench.after(0);
    const second = bench.workspace.slotId;
    expect(second).not.toBe(bench.slotId);
    bench.destroy();
    bench.step({ type: 'lrm.refused', slotId: second, message: 'no' });
    expect(bench.workspace.state).toBe('ended');
    for (let left = 3; left > 0 && nextDeadlineAt(bench.state) !== null; left--) bench.atDeadline();
    expect([bench.maps.workspaces.size, bench.maps.slots.size]).toEqual([0, 0]);
  });

  it('does not shorten the wait for a warm slot that comes to nothing again and again', () => {
    const policy = {
      kind: 'warm',
      slots: 1,
      nodes: 1,
      memoryMiBPerNode: 1_024,
      cpusPerNode: 1,
      durationMs: 60 * minute,
      vmsPerNode: 1,
      shared: false,
    } as const;
    const asked = (afterMs: number): readonly number[] => {
      const bench = new LeaseBench({ retireAfterMs: afterMs, policy });
      const at: number[] = [];
      for (let left = 40; left > 0; left--) {
        for (const { id } of bench.atDeadline().slots) {
          at.push(bench.now);
          bench.step({ type: 'lrm.refused', slotId: id, message: 'no' });
        }
        // Seven make the wait the longest.
        expect(bench.maps.slots.size).toBeLessThanOrEqual(afterMs === 0 ? 8 : 40);
      }
      return at.slice(0, 12);
    };
    expect(asked(0)).toEqual(asked(Number.POSITIVE_INFINITY));
  });
});
