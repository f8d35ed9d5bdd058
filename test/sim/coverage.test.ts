import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../../src/service/core/engine-api.ts';
import { allTransitions, newCounts, Tally, transitionsOf } from './coverage.ts';
import { crashPoints } from './crash-points.ts';

const slotId = 'slot-aaaaaaaaaa';
const workspaceId = 'ws-aaaaaaaaaa';
const vmId = `${workspaceId}.w-0`;

function history(...types: readonly string[]): readonly StoredEvent[] {
  return types.map((type, index) => {
    const about = { workspaceId, slotId, vmId, node: 'n0', reason: null, owner: null };
    return { ...about, seq: index + 1, at: 0, recordedAt: 0, type };
  });
}

describe('coverage of the simulation', () => {
  it('reads the steps of each entity from its history, and nothing else', () => {
    const events = history(
      'workspace.pending',
      'workspace.requested',
      'slot.requested',
      'slot.lrm',
      'slot.queued',
      'vm.placed',
      'vm.propagating',
      'vm.context.ok',
      'vm.failed',
    );
    expect([...transitionsOf(events)]).toEqual([
      'workspace pending → requested',
      'slot requested → queued',
      'vm pending → propagating',
      'vm propagating → failed',
    ]);
  });

  it('says what was missed, and what no table has', () => {
    const tally = new Tally();
    const counts = newCounts();
    const [missedStep = '', ...steps] = allTransitions;
    const [missedPoint = '', ...points] = crashPoints;
    for (const step of [...steps, 'vm failed → running']) counts.transitions.set(step, 1);
    for (const point of points) counts.crashes.set(point, 1);
    tally.add({ steps: 200, counts });
    expect(tally.missing()).toEqual([missedStep, missedPoint]);
    expect(tally.illegal()).toEqual(['vm failed → running']);
    expect(tally.lines()).toContain(`  never: ${missedPoint}`);
    // Not "100 %" for all but one.
    expect(tally.lines().filter(line => line.includes('100 %'))).toEqual([]);
  });

  it('names each crash point once', () => {
    expect(new Set(crashPoints).size).toBe(crashPoints.length);
  });
});
