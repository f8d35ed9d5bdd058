import { describe, expect, it } from 'vitest';
import { type NodeRoom, place } from './placement.ts';

const room = (name: string, memoryMiB = 1_000, cpus = 4, vms = 1): NodeRoom => ({
  name,
  memoryMiB,
  cpus,
  vms,
});
const vm = (id: string, memoryMiB = 500, cpus = 1) => ({ id, memoryMiB, cpus });

describe('place', () => {
  it('takes nodes in order, one VM each', () => {
    const placed = place([vm('a'), vm('b')], [room('n1'), room('n0'), room('n2')]);
    expect([...(placed ?? [])]).toEqual([
      ['a', 'n1'],
      ['b', 'n0'],
    ]);
  });

  it('respects memory and processors', () => {
    const placed = place(
      [vm('big', 2_000), vm('wide', 100, 8)],
      [room('n0'), room('n1', 2_000), room('n2', 100, 8)],
    );
    expect(placed?.get('big')).toBe('n1');
    expect(placed?.get('wide')).toBe('n2');
  });

  it('fills a node that may have several, until one of the three is used up', () => {
    const placed = place([vm('a'), vm('b'), vm('c')], [room('n0', 1_000, 4, 3), room('n1', 1_000, 4, 3)]);
    expect([...(placed?.values() ?? [])]).toEqual(['n0', 'n0', 'n1']);
  });

  it('places all or none', () => {
    expect(place([vm('a'), vm('b')], [room('n0')])).toBeUndefined();
    expect(place([vm('a', 1_001)], [room('n0')])).toBeUndefined();
  });
});
