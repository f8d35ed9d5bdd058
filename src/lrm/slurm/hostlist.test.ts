import { describe, expect, it } from 'vitest';
import { expandHostlist } from './hostlist.ts';

describe('expandHostlist', () => {
  it.each([
    ['', []],
    ['n1', ['n1']],
    ['n[1-3]', ['n1', 'n2', 'n3']],
    ['n[01-03,07],gpu1', ['n01', 'n02', 'n03', 'n07', 'gpu1']],
    ['n[08-11]', ['n08', 'n09', 'n10', 'n11']],
    ['n[9-11]', ['n9', 'n10', 'n11']],
    ['r[1-2]n[3-4].site', ['r1n3.site', 'r1n4.site', 'r2n3.site', 'r2n4.site']],
    ['odd[', ['odd[']],
  ])('%s', (text, names) => {
    expect(expandHostlist(text)).toEqual(names);
  });

  it('does not let a mistaken range take all memory', () => {
    expect(expandHostlist('n[1-99999999999]').length).toBe(100_000);
  });
});
