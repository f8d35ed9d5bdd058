import { describe, expect, it } from 'vitest';
import { designedSteps } from '../../test/support/transitions.ts';
import { slotStates, vmStates, workspaceStates } from '../protocol/states.ts';
import {
  assertTransition,
  IllegalTransition,
  isFinalSlot,
  isFinalVm,
  slotTransitions,
  vmTransitions,
  workspaceTransitions,
} from './transitions.ts';

/** All states from which `to` can be reached. */
function reaching<S extends string>(table: Readonly<Record<S, readonly S[]>>, to: S): Set<S> {
  const states = Object.keys(table) as S[];
  const reached = new Set<S>([to]);
  for (let size = 0; size < reached.size; ) {
    size = reached.size;
    for (const state of states) if (table[state].some(next => reached.has(next))) reached.add(state);
  }
  return reached;
}

describe('transitions', () => {
  it('are those of the design, all of them and no others', () => {
    const stepsOf = (entity: string, table: Readonly<Record<string, readonly string[]>>): string[] =>
      Object.entries(table).flatMap(([from, next]) => next.map(to => `${entity} ${from} → ${to}`));
    const steps = [
      ...stepsOf('slot', slotTransitions),
      ...stepsOf('vm', vmTransitions),
      ...stepsOf('workspace', workspaceTransitions),
    ];
    expect(steps.toSorted()).toEqual(designedSteps.toSorted());
  });

  it('lead every state to a final one', () => {
    expect(slotStates.filter(isFinalSlot)).toEqual(['released', 'failed']);
    expect(vmStates.filter(isFinalVm)).toEqual(['terminated', 'failed']);
    expect(reaching(workspaceTransitions, 'ended').size).toBe(workspaceStates.length);
    expect(reaching(slotTransitions, 'released').size).toBe(slotStates.length - 1);
    expect(reaching(vmTransitions, 'terminated').size).toBe(vmStates.length - 1);
  });

  it('let anything that is not over fail', () => {
    // A slot that is being given back is released, however that comes about.
    const givenBack = new Set<string>(['preempting', 'releasing']);
    for (const state of slotStates)
      expect(slotTransitions[state].includes('failed')).toBe(!isFinalSlot(state) && !givenBack.has(state));
    for (const state of vmStates) expect(vmTransitions[state].includes('failed')).toBe(!isFinalVm(state));
  });

  it('never lead back, but among the states of a VM that is up', () => {
    const order = ['pending', 'propagating', 'starting', 'running', 'stopping', 'terminated'] as const;
    for (const [index, from] of order.entries())
      for (const to of order.slice(0, index)) expect(vmTransitions[from]).not.toContain(to);
    expect(vmTransitions.running).toContain('paused');
    expect(vmTransitions.paused).toContain('running');
  });

  it('are asserted', () => {
    assertTransition(vmTransitions, 'vm x', 'running', 'stopping');
    expect(() => assertTransition(vmTransitions, 'vm x', 'stopping', 'running')).toThrow(IllegalTransition);
    expect(() => assertTransition(vmTransitions, 'vm x', 'stopping', 'running')).toThrow(
      'vm x cannot go from stopping to running',
    );
  });
});
