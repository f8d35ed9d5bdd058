import { beforeEach, describe, expect, it, test } from 'vitest';
import type { PilotMessage, ServiceMessage } from '../../src/protocol/pilot.ts';
import { Witness } from './witness.ts';

/** What the simulation's network sees must be told from what is as it must be. */

let broken: string[];
let witness: Witness;
beforeEach(() => {
  broken = [];
  witness = new Witness(what => broken.push(what));
});

const order = (number: number, vmId = 'vm'): ServiceMessage => ({
  type: 'command',
  key: `operate:${vmId}:${number}`,
  body: { kind: 'operate-vm', vmId, operation: 'pause', graceMs: 0 },
});
const preempting: PilotMessage = {
  type: 'notification',
  seq: 1,
  at: 0,
  body: { kind: 'node', state: 'preempting' },
};
const welcome: ServiceMessage = { type: 'welcome', ackedSeq: 0, now: 0 };

describe('orders', () => {
  it('arrive as they were given; repeated ones count once, and those of another VM for themselves', () => {
    const ears = witness.pilot('n0');
    for (const message of [order(1), order(3), order(1), order(1, 'other')]) ears.heard(message);
    expect(broken).toEqual([]);
    // A pilot that was started anew has heard nothing yet.
    witness.pilot('n0').heard(order(1));
    expect(broken).toEqual([]);
  });

  it('that overtake others are told of', () => {
    const ears = witness.pilot('n0');
    for (const message of [order(2), order(1)]) ears.heard(message);
    expect(broken).toEqual(['n0 heard operate:vm:1 of vm after order 2']);
  });
});

describe('a pilot that leaves', () => {
  const leaves = (...heard: readonly ServiceMessage[]): readonly string[] => {
    const ears = witness.pilot('n0');
    for (const message of heard) ears.heard(message);
    ears.leaves(1_000, 100, 1_100);
    return broken;
  };
  const end = (endsAt: number): ServiceMessage => ({
    type: 'command',
    key: `job-end:${endsAt}`,
    body: { kind: 'job-end', endsAt },
  });

  it('does so at the end of its job, as it was last told', () => {
    expect(leaves(welcome)).toEqual([]);
    expect(leaves(welcome, end(5_000), end(1_050))).toEqual([]);
    expect(leaves(welcome, end(1_101))).toEqual([
      'the pilot on n0 left 101 ms before the end of its job, as it knew it',
    ]);
  });

  it('may do so at any time when it is sent away, or was never welcome', () => {
    expect(leaves(end(5_000))).toEqual([]);
    expect(leaves(welcome, end(5_000), { type: 'dismiss', message: 'over' })).toEqual([]);
    const release: ServiceMessage = { type: 'command', key: 'r', body: { kind: 'release', graceMs: 0 } };
    expect(leaves(welcome, end(5_000), release)).toEqual([]);
  });
});

test('the pilots of a slot that is over are sent away, all of them', () => {
  const [told, forgotten, greeting] = ['n0', 'n1', 'n2'].map(node => witness.opened('slot', node));
  for (const end of [told, forgotten]) end?.said(welcome);
  witness.opened('another', 'n3').said(welcome);
  told?.said({ type: 'dismiss', message: 'the slot has ended' });
  witness.look(slotId => slotId === 'slot');
  expect(greeting?.isReady).toBe(false);
  expect(broken).toEqual(['n1 was not told that slot is over']);
});

describe('what the LRM takes back', () => {
  it('is told to each pilot of the slot that is connected, and to no other', () => {
    const [from, told, forgotten, greeting, away] = ['n0', 'n1', 'n2', 'n3', 'n4'].map(node =>
      witness.opened('slot', node),
    );
    for (const end of [from, told, forgotten, away]) end?.said(welcome);
    away?.closed();
    witness.opened('another', 'n5').said(welcome);
    told?.said({ type: 'command', key: 'release:slot:n1:9', body: { kind: 'release', graceMs: 9 } });
    expect(greeting?.isReady).toBe(false);
    if (from) witness.taken('slot', from, preempting);
    expect(broken).toEqual(['n2 was not told that the LRM takes back n0 of slot']);
  });

  it('is told also to one that has come again', () => {
    const [from, older] = ['n0', 'n1'].map(node => witness.opened('slot', node));
    for (const end of [from, older]) end?.said(welcome);
    older?.closed();
    witness.opened('slot', 'n1').said(welcome);
    if (from) witness.taken('slot', from, preempting);
    expect(broken).toHaveLength(1);
  });
});
