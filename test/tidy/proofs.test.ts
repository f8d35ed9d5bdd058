import { describe, expect, it } from 'vitest';
import { mistakesOf, type Table } from '../proofs/check.ts';
import { pageText, tables } from '../proofs/tables.ts';
import { readTree } from './tree.ts';

const tree = readTree();

describe('report A: what people can write is exercised by a test', () => {
  it.each(tables)('every $what, by one that is there: $file', table => {
    expect(mistakesOf(table, tree)).toEqual([]);
  });

  it('docs/tested.md is what the tables say (npm run proofs)', () => {
    expect(tree.find(({ path }) => path === 'docs/tested.md')?.text).toBe(pageText());
  });
});

describe('a table that is wrong', () => {
  const files = [
    {
      path: 'test/e2e/a.test.ts',
      text: "import './b.ts'; import { c } from './b.ts'; it('does it', () => f('x'));",
    },
    { path: 'test/e2e/b.ts', text: "export const c = { drain: 'leave', longer: 1 };" },
  ];
  const proof = { file: 'test/e2e/a.test.ts', title: 'does it', of: ['leases.drain'] };
  const table: Table = { what: 'key', file: 'keys.ts', surface: ['leases.drain'], proofs: [proof] };

  it('is not this one', () => expect(mistakesOf(table, files)).toEqual([]));

  it.each<[string, Partial<Table>]>([
    ['a key without a test', { surface: ['leases.drain', 'leases.new'] }],
    ['a test of what is no key', { surface: [], proofs: [proof] }],
    ['a file that is not there', { proofs: [{ ...proof, file: 'test/e2e/none.test.ts' }] }],
    ['a title that is not there', { proofs: [{ ...proof, title: 'does' }] }],
    [
      'a test that does not mention it',
      { surface: ['leases.long'], proofs: [{ ...proof, of: ['leases.long'] }] },
    ],
    ['words that are not there', { proofs: [{ ...proof, by: "'drains'" }] }],
  ])('is one with %s', (_what, wrong) => {
    expect(mistakesOf({ ...table, ...wrong }, files)).toHaveLength(1);
  });
});
