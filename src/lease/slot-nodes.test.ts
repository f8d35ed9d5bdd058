import { describe, expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';

describe('which pilots a slot takes', () => {
  const begun = (nodes: readonly string[], count = 1): LeaseBench => {
    const bench = new LeaseBench();
    bench.create(count);
    bench.submitted();
    bench.observed({ nodes });
    return bench;
  };
  const names = (bench: LeaseBench): readonly string[] => bench.slot.nodes.map(({ name }) => name);

  it.each([
    [['n0', 'n1.site1'], 'n1', true],
    [['n0', 'n1.site.test'], 'N1.other.test', true],
    [['n0', '1a.site.test'], '1a', true],
    [['n0', 'n1.site.test'], 'n2.site.test', false],
    [['10.0.0.1', '10.0.0.2'], '10.0.0.2', true],
    [['10.0.0.1', '10.0.0.2'], '10.0.0.3', false],
  ] as const)('of a job on %j: %s is one: %s', (nodes, name, isOne) => {
    const bench = begun(nodes, 2);
    bench.connect(nodes[0]);
    bench.connect(name);
    expect(names(bench)).toEqual(isOne ? [nodes[0], name] : [nodes[0]]);
    expect(bench.effects.filter(({ kind }) => kind === 'pilot')).toEqual([]);
  });

  it('where the LRM does not tell: as many as were asked for, and four more, which are sent away', () => {
    const bench = begun([]);
    const sent = [0, 1, 2, 3, 4, 5].map(
      index => bench.ordersOf(bench.connect(`n${index}`), 'release').length,
    );
    expect(names(bench)).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
    expect(sent).toEqual([0, 1, 1, 1, 1, 0]);
  });

  it('sends away one that the LRM has given and that is one too many', () => {
    const bench = begun(['n0', 'n1']);
    bench.connect('n0');
    expect(bench.ordersOf(bench.connect('n1'), 'release')).toMatchObject([{ node: 'n1', graceMs: 0 }]);
  });

  it('sends away one that comes when the slot is being taken back', () => {
    const bench = begun([], 3);
    bench.node('n0', 'reserved');
    bench.node('n0', 'preempting');
    expect(bench.slot.state).toBe('preempting');
    expect(bench.ordersOf(bench.connect('n1'), 'release')).toMatchObject([{ node: 'n1', graceMs: 0 }]);
  });
});
