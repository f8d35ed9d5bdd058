import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { excessIn } from './json.ts';

it('security 25: nothing is wrong with any value that is small', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), text => {
      expect(excessIn(text)).toBeUndefined();
    }),
  );
});

it('security 25: brackets and commas in texts are no levels and no values', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('[', ',', '"', '\\', '{', 'x'), maxLength: 100 }), text => {
      expect(excessIn(JSON.stringify([text.repeat(500)]))).toBeUndefined();
    }),
  );
  expect(excessIn(JSON.stringify(['['.repeat(1_000_000), ','.repeat(1_000_000)]))).toBeUndefined();
});

it.each([
  ['brackets', '['.repeat(900_000), 'levels deep'],
  ['objects', '{"a":'.repeat(180_000), 'levels deep'],
  ['brackets after a text', `["\\\\",${'['.repeat(40)}`, 'levels deep'],
  ['values', `[${'0,'.repeat(30_000)}0]`, 'more than 20000 values'],
  ['empty lists', `[${'[],'.repeat(30_000)}0]`, 'more than 20000 values'],
])('security 25: too much is told before anything is parsed: %s', (_what, text, words) => {
  expect(excessIn(text)).toContain(words);
});

it('security 25: a text that does not end is no trouble', () => {
  expect(excessIn(`"${'\\'.repeat(9)}`)).toBeUndefined();
  expect(excessIn('"')).toBeUndefined();
});
