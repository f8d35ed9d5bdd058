import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { isEmpty } from './decide.ts';
import type { Decision } from './decision.ts';

const kernel = [{ node: 'n1', reason: 'kernel update' }];
const drained = (bench: LeaseBench, draining = kernel): Decision => bench.observed({ draining });
const typesOf = ({ events }: Decision): readonly string[] => events.map(({ type }) => type);
const reasonOf = (bench: LeaseBench, node: string): unknown =>
  must(bench.slot.nodes.find(({ name }) => name === node)).reason;
const saying = (words: string) => ({ code: 'draining', message: `an administrator drains it${words}` });

describe('a node that an administrator drains, where leases wait', () => {
  it('says so, with his words, and is told of once; the lease goes on', () => {
    const bench = new LeaseBench().running(2);
    bench.observed({});
    const first = drained(bench);
    expect(first.events).toMatchObject([
      { type: 'node.draining', node: 'n1', workspaceId: bench.ws, reason: saying(': kernel update') },
    ]);
    expect([reasonOf(bench, 'n0'), reasonOf(bench, 'n1')]).toEqual([null, saying(': kernel update')]);
    expect(isEmpty(drained(bench))).toBe(true);
    expect([bench.workspace.state, bench.slot.state]).toEqual(['running', 'ready']);
    // Other words are kept, but are nothing new to tell.
    expect(typesOf(drained(bench, [{ node: 'n1', reason: '' }]))).toEqual([]);
    expect(reasonOf(bench, 'n1')).toEqual(saying(''));
  });

  it('is back in service when the LRM says so, not when it says nothing', () => {
    const bench = new LeaseBench().running(2);
    drained(bench);
    expect(typesOf(bench.observed({}))).not.toContain('node.resumed');
    expect(reasonOf(bench, 'n1')).not.toBeNull();
    expect(typesOf(drained(bench, []))).toEqual(['node.resumed']);
    expect(reasonOf(bench, 'n1')).toBeNull();
    expect(typesOf(drained(bench))).toEqual(['node.draining']);
  });

  it('is told of once although its pilot goes on to report', () => {
    const bench = new LeaseBench();
    bench.create(2);
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserving');
    expect(typesOf(drained(bench))).toContain('node.draining');
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    expect(reasonOf(bench, 'n1')).toEqual(saying(': kernel update'));
    expect(typesOf(drained(bench))).toEqual([]);
    expect(bench.workspace.state).toBe('deploying');
    bench.node('n1', 'releasing');
    expect(reasonOf(bench, 'n1')).toBeNull();
  });

  it('gives back a warm slot that nobody has been in, and has another one asked for', () => {
    const size = { nodes: 2, memoryMiBPerNode: 2_048, cpusPerNode: 2, durationMs: 3_600_000 };
    const bench = new LeaseBench({
      policy: { kind: 'warm', slots: 1, ...size, vmsPerNode: 2, shared: true },
    });
    bench.step({ type: 'clock', slotId: bench.slotId });
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.node(node, 'reserving');
    for (const node of ['n0', 'n1']) bench.node(node, 'reserved');
    expect(bench.slot).toMatchObject({ state: 'ready', warm: true });
    drained(bench);
    expect(bench.slot).toMatchObject({ state: 'releasing', reason: { code: 'node_drained' } });
    // At once: it did not come to nothing for want of anything.
    expect(bench.effectsOf(bench.after(0), 'lrm.submit')).toHaveLength(1);
  });
});

describe('a node that an administrator drains, where leases leave', () => {
  const leaving = (more = {}): LeaseBench => new LeaseBench({ drain: 'leave' }).running(2, more);

  it('is left: all pilots are ordered to release with a grace, the workspace ends as preempted', () => {
    const bench = leaving();
    const decision = drained(bench);
    const message = 'node n1: an administrator drains it: kernel update';
    const reason = { code: 'node_drained', message };
    expect(decision.effects).toMatchObject([
      { kind: 'pilot', node: 'n0', order: { kind: 'release', graceMs: 10_000 } },
      { kind: 'pilot', node: 'n1', order: { kind: 'release', graceMs: 10_000 } },
    ]);
    expect(typesOf(decision)).toContain('node.draining');
    expect(bench.slot).toMatchObject({ state: 'preempting', reason });
    expect(bench.workspace).toMatchObject({ state: 'ending', cause: 'preempted', reason });
    expect(isEmpty(drained(bench))).toBe(true);
    for (const index of [0, 1]) bench.vm(index, 'terminated');
    for (const node of ['n0', 'n1']) bench.node(node, 'released');
    expect(bench.workspace).toMatchObject({ state: 'ended', cause: 'preempted', reason });
    bench.observed({ state: 'completed' });
    expect(bench.slot.state).toBe('released');
  });

  it('is left before all nodes are reserved, too', () => {
    const bench = new LeaseBench({ drain: 'leave' });
    bench.create(2);
    bench.submitted();
    bench.node('n1', 'reserving');
    drained(bench);
    expect(bench.slot.state).toBe('preempting');
    expect(bench.workspace).toMatchObject({ cause: 'preempted', reason: { code: 'node_drained' } });
  });

  it.each(['completed', 'cancelled'] as const)(
    'has a workspace that asks for it started anew; the job may have ended as %s, because pilots that stay are cancelled',
    state => {
      const bench = leaving({ requeue: true });
      drained(bench);
      if (state === 'cancelled') expect(bench.atDeadline().effects).toMatchObject([{ kind: 'lrm.cancel' }]);
      else for (const node of ['n0', 'n1']) bench.node(node, 'released');
      bench.observed({ state });
      bench.atDeadline();
      expect(bench.workspace).toMatchObject({ state: 'requested', requeues: 1, cause: null });
      expect(bench.workspace.slotId).not.toBe(bench.slotId);
    },
  );
});

describe('what a drained node tells', () => {
  it('is what it had to tell before, when that is something else', () => {
    const bench = new LeaseBench().running(2);
    const reason = { code: 'slow', message: 'its disk is slow' };
    const [n0, n1] = bench.slot.nodes;
    bench.maps.slots.set(bench.slotId, { ...bench.slot, nodes: [must(n0), { ...must(n1), reason }] });
    expect(typesOf(drained(bench))).not.toContain('node.draining');
    expect(reasonOf(bench, 'n1')).toEqual(reason);
  });

  it('is nothing while it leaves, and names it when it is back in service', () => {
    const bench = new LeaseBench().running(2);
    bench.node('n1', 'releasing');
    expect(bench.slot.state).toBe('ready');
    expect(typesOf(drained(bench))).not.toContain('node.draining');
    expect(reasonOf(bench, 'n1')).toBeNull();
    const other = new LeaseBench().running(2);
    drained(other);
    expect(drained(other, []).events).toMatchObject([{ type: 'node.resumed', node: 'n1' }]);
  });

  it('is nothing to a slot that is being given back', () => {
    const bench = new LeaseBench().running(2);
    bench.node('n0', 'preempting');
    bench.observed({});
    expect(isEmpty(drained(bench))).toBe(true);
  });
});
