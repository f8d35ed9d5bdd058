import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzzHelper } from '../fuzz/helper-lines.ts';
import { fuzzParser } from '../fuzz/parser.ts';
import type { BareNodes } from '../support/node.ts';
import { helperOf, quietNodes } from '../fuzz/users.ts';

/** A part of `make fuzz`, which tries a hundred times as much. */

const seed = 1;

let nodes: BareNodes;
beforeAll(async () => {
  nodes = await quietNodes();
});
afterAll(() => nodes?.stop());

describe('security 2, 3, 14 requests that are nearly right', () => {
  it('are read as what they say, or refused in a sentence', () => {
    const { accepted, refused, faults } = fuzzParser(seed, 20_000);
    expect(faults).toEqual([]);
    expect(Math.min(accepted, refused)).toBeGreaterThan(2_000);
  });

  it('get one answer each of a helper, and leave the node as it was', async () => {
    const { ok, refused, faults } = await fuzzHelper(
      nodes,
      helperOf(nodes, 64_901, 'slot-fuzzaaaaaa'),
      seed,
      800,
    );
    expect(faults).toEqual([]);
    expect([ok > 4, refused > 200]).toEqual([true, true]);
  });
});
