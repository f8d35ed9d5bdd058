import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../core/engine-api.ts';
import { timelineOf } from './timeline.ts';

/** Events from `[at, type, subject]`; a subject with a dot is a VM, else a node. */
function history(
  ...lines: readonly (readonly [at: number, type: string, subject?: string])[]
): StoredEvent[] {
  return lines.map(([at, type, subject], index) => ({
    seq: index + 1,
    at,
    recordedAt: at + 5,
    type,
    workspaceId: 'ws-aaaaaaaaaa',
    slotId: null,
    vmId: subject?.includes('.') ? subject : null,
    node: subject === undefined || subject.includes('.') ? null : subject,
    reason: null,
    owner: null,
  }));
}
const hops = (events: readonly StoredEvent[], agents = 2) =>
  timelineOf('ws-aaaaaaaaaa', events, agents).hops.map(({ hop, durationMs }) => [hop, durationMs]);

const started = [
  [1_000, 'workspace.requested'],
  [1_000, 'slot.requested'],
  [1_050, 'slot.queued'],
  [2_050, 'node.reserving', 'n1'],
  [2_100, 'node.reserving', 'n2'],
  [2_200, 'node.reserved', 'n1'],
  [2_300, 'node.reserved', 'n2'],
  [2_310, 'slot.ready'],
  [2_320, 'vm.propagating', 'w.a-0'],
  [2_325, 'vm.propagating', 'w.a-1'],
  [2_400, 'vm.starting', 'w.a-0'],
  [2_450, 'vm.starting', 'w.a-1'],
  [2_500, 'vm.running', 'w.a-0'],
  [2_600, 'vm.running', 'w.a-1'],
  [2_610, 'workspace.running'],
  [3_900, 'vm.context.ok', 'w.a-0'],
  [4_100, 'vm.context.ok', 'w.a-1'],
] as const;
const way = [
  ['request', 5],
  ['submit', 45],
  ['lrm', 1_000],
  ['pilot', 250],
  ['place', 20],
  ['propagate', 80],
  ['create', 200],
] as const;

describe('the timeline', () => {
  it('of a whole lease has every hop, each beginning where the one before it ended', () => {
    const events = history(
      ...started,
      [9_000, 'workspace.ending'],
      [9_100, 'vm.terminated', 'w.a-0'],
      [9_300, 'vm.terminated', 'w.a-1'],
      [9_310, 'workspace.ended'],
      [9_400, 'node.released', 'n1'],
      [9_500, 'node.released', 'n2'],
      [9_900, 'slot.released'],
    );
    expect(hops(events)).toEqual([
      ...way,
      ['context', 1_500],
      ['lease', 6_400],
      ['stop', 300],
      ['release', 200],
      ['lrm-end', 400],
    ]);
    const [first, second] = timelineOf('ws-aaaaaaaaaa', events, 2).hops;
    expect(first).toMatchObject({
      startedAt: '1970-01-01T00:00:01.000Z',
      endedAt: '1970-01-01T00:00:01.005Z',
    });
    expect(second?.startedAt).toBe(first?.endedAt);
  });

  it('of a running lease ends with what goes on', () => {
    expect(hops(history(...started))).toEqual([...way, ['context', 1_500], ['lease', null]]);
    expect(hops(history(...started.slice(0, -1)))).toEqual([...way, ['context', null], ['lease', null]]);
    expect(hops(history(...started), 0)).toEqual([...way, ['lease', null]]);
  });

  it('while it waits in the queue has the hop it is in', () => {
    expect(hops(history(...started.slice(0, 3)))).toEqual([
      ['request', 5],
      ['submit', 45],
      ['lrm', null],
    ]);
  });

  it('does not take one VM’s or node’s part for all of them', () => {
    expect(hops(history(...started.slice(0, 6))).at(-1)).toEqual(['pilot', null]);
    expect(hops(history(...started.slice(0, 13))).at(-1)).toEqual(['create', null]);
    const ending = history(...started, [9_000, 'workspace.ending'], [9_100, 'vm.terminated', 'w.a-0']);
    expect(hops(ending).at(-2)).toEqual(['lease', 6_400]);
    expect(hops(ending).at(-1)).toEqual(['stop', null]);
  });

  it('of a lease that ended in the queue ends there', () => {
    const events = history(...started.slice(0, 3), [5_000, 'workspace.ending'], [5_300, 'slot.released']);
    expect(hops(events)).toEqual([
      ['request', 5],
      ['submit', 45],
      ['lrm', 3_950],
      ['lrm-end', 300],
    ]);
  });

  it('of a request that was never submitted has no LRM in it', () => {
    const events = history(
      [1_000, 'workspace.requested'],
      [1_100, 'workspace.ended'],
      [1_100, 'slot.failed'],
    );
    expect(hops(events)).toEqual([
      ['request', 5],
      ['submit', 95],
    ]);
  });

  it('never goes backwards when the nodes’ clocks differ', () => {
    const events = history(
      ...started
        .slice(0, 7)
        .map(
          ([at, type, subject]) =>
            [type === 'node.reserving' ? at - 1_500 : at, type, subject ?? 'x'] as const,
        ),
    );
    expect(hops(events)[2]).toEqual(['lrm', 0]);
  });

  it('of a lease in a slot that was held has no hops through the LRM, and none of the slot that stays', () => {
    const events = history(
      [1_000, 'workspace.requested'],
      [1_000, 'vm.placed', 'w.a-0'],
      [1_020, 'vm.propagating', 'w.a-0'],
      [1_100, 'vm.starting', 'w.a-0'],
      [1_300, 'vm.running', 'w.a-0'],
      [1_301, 'workspace.running'],
      [5_000, 'workspace.ending'],
      [5_200, 'vm.terminated', 'w.a-0'],
      [5_200, 'slot.idle'],
      [5_201, 'workspace.ended'],
      [9_000, 'slot.releasing'],
      [9_100, 'node.released', 'n1'],
      [9_200, 'slot.released'],
    );
    expect(hops(events, 0)).toEqual([
      ['request', 5],
      ['place', 15],
      ['propagate', 80],
      ['create', 200],
      ['lease', 3_700],
      ['stop', 200],
    ]);
  });
});
