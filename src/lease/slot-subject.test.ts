import { describe, expect, it } from 'vitest';
import { subjectOf } from './slot-subject.ts';
import type { Slot, Workspace } from './model.ts';

describe('whose the news of a slot is', () => {
  it.each([
    ['nobody’s, when nobody has been in it', {}, undefined],
    ['of the one that is in it', { a: 'ended', b: 'running', c: 'ended' }, 'b'],
    ['of the one that was in it last', { a: 'ended', b: 'ended' }, 'b'],
    ['of the first, though it is not known yet', { a: undefined }, 'a'],
    ['of none of several', { a: 'running', b: 'ending' }, undefined],
  ] as const)('is %s', (_what, states, subject) => {
    const slot = { workspaceIds: Object.keys(states) } as unknown as Slot;
    const find = (id: string): Workspace | undefined => {
      const state = (states as Readonly<Record<string, string | undefined>>)[id];
      return state === undefined ? undefined : ({ state } as unknown as Workspace);
    };
    expect(subjectOf(slot, find)).toBe(subject);
  });
});
