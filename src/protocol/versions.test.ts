import { expect, it } from 'vitest';
import { protocolGap, protocols, protocolWith } from './versions.ts';

it.each(Object.entries(protocols) as [keyof typeof protocols, number][])(
  'an end of the %s wire that is one away is spoken with, and no other: %i',
  (wire, ours) => {
    const words = [-2, -1, 0, 1, 2].map(away => protocolWith(wire, ours + away));
    expect(words).toEqual(['they are older', 'spoken', 'spoken', 'spoken', 'they are newer']);
    expect(protocolGap(wire, 'it', ours)).toBeUndefined();
    expect(protocolWith(wire, undefined)).toBe(protocolWith(wire, 1));
  },
);

it('says who is to be upgraded', () => {
  expect(protocolGap('pilot', 'the pilot on n01', 9)).toBe(
    'the pilot on n01 speaks protocol 9 and this end protocols 1 and 2: this end is to be upgraded',
  );
  expect(protocolGap('pilot', 'the pilot on n01', 0)).toMatch(/: it is to be upgraded$/);
});
