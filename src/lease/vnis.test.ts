import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseBench, settings } from '../../test/support/lease.ts';
import type { NetworkPool } from './settings.ts';

const group = { name: 'x', image: 'mini', count: 1, memoryMiB: 64, cpus: 1 };
const [publicNetwork, privateNetwork] = settings.networks as [NetworkPool, NetworkPool];
const range = (first: number, last: number) => ({
  networks: [publicNetwork, { ...privateNetwork, vnis: { first, last } }],
});
/** What a bench's workspaces have, by the letter of each. */
const vnisOf = (bench: LeaseBench, letter: string) =>
  bench.maps.workspaces.get(`ws-${letter.repeat(10)}`)?.vnis;

/** Creates workspaces a, b, … with these lots. */
function created(bench: LeaseBench, lots: readonly number[]): readonly (number | undefined)[] {
  return lots.map((lot, index) => {
    const letter = String.fromCharCode(97 + index);
    bench.step({ ...bench.createInput({ groups: [group] }, letter), lots: [0, lot] });
    return vnisOf(bench, letter)?.['private'];
  });
}

describe('security 5 VNIs', () => {
  it('are what the lot says, in the range of their network alone, and a network that is no VXLAN has none', () => {
    expect(created(new LeaseBench(range(5_000, 69_999)), [12_345])).toEqual([17_345]);
    const bench = new LeaseBench(range(5_000, 69_999));
    bench.step(bench.createInput({ groups: [{ ...group, networks: ['public'] }] }));
    expect(vnisOf(bench, 'a')).toEqual({});
  });

  it('are never given to two workspaces that are not over', () => {
    const lots = fc.array(fc.nat(0xffff_ffff), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(lots, drawn => {
        const given = created(new LeaseBench(range(1_000, 1_005)), drawn);
        expect(new Set(given).size).toBe(drawn.length);
        for (const vni of given) {
          expect(vni).toBeGreaterThanOrEqual(1_000);
          expect(vni).toBeLessThanOrEqual(1_005);
        }
      }),
    );
  });

  it('are refused when none is left, and free again when a workspace has ended', () => {
    const bench = new LeaseBench(range(7, 8));
    expect(created(bench, [0, 0])).toEqual([7, 8]);
    const third = bench.createInput({ groups: [group] }, 'c');
    expect(bench.refusal(third)).toMatchObject({
      code: 'addresses_exhausted',
      message: 'network private has no free VNI (2 in all)',
    });
    bench.destroy();
    expect(bench.workspace.state).toBe('ended');
    bench.step(third);
    expect(vnisOf(bench, 'c')).toEqual({ private: 7 });
  });

  it('are drawn at the launch of a workspace that waits for it, and kept', () => {
    const bench = new LeaseBench(range(5_000, 69_999));
    bench.step(bench.createInput({ groups: [group], pending: true }));
    expect(bench.workspace.vnis).toEqual({});
    bench.step({ type: 'launch', workspaceId: bench.ws, by: 'ann', lots: [0, 3] });
    expect(bench.workspace.vnis).toEqual({ private: 5_003 });
    bench.step({ type: 'service.started' });
    expect(bench.workspace.vnis).toEqual({ private: 5_003 });
  });

  it('stay what an earlier version has counted them to', () => {
    const bench = new LeaseBench(range(5_000, 69_999));
    created(bench, [9, 9]);
    for (const workspace of bench.maps.workspaces.values())
      bench.maps.workspaces.set(workspace.id, { ...workspace, vnis: {} });
    bench.step({ type: 'service.started' });
    expect([vnisOf(bench, 'a'), vnisOf(bench, 'b')]).toEqual([{ private: 5_000 }, { private: 5_001 }]);
  });
});

describe('VNIs that an earlier version has counted', () => {
  const restarted = (bench: LeaseBench): LeaseBench => {
    for (const workspace of bench.maps.workspaces.values())
      bench.maps.workspaces.set(workspace.id, { ...workspace, vnis: {} });
    bench.step({ type: 'service.started' });
    return bench;
  };

  it('are those of the lowest of its addresses on that network, and none without one there', () => {
    const bench = new LeaseBench(range(5_000, 69_999));
    created(bench, [1]);
    bench.step(bench.createInput({ groups: [{ ...group, count: 2, networks: ['public', 'private'] }] }, 'b'));
    bench.step(bench.createInput({ groups: [{ ...group, networks: ['public'] }] }, 'c'));
    restarted(bench);
    expect([vnisOf(bench, 'b'), vnisOf(bench, 'c')]).toEqual([{ private: 5_001 }, {}]);
  });

  it('are nobody’s who has ended', () => {
    const bench = new LeaseBench(range(5_000, 69_999));
    created(bench, [1]);
    bench.destroy();
    expect(bench.workspace.state).toBe('ended');
    expect(vnisOf(restarted(bench), 'a')).toEqual({});
  });
});

it('a network that one group alone is on has a VNI', () => {
  const bench = new LeaseBench(range(7, 8));
  bench.step(
    bench.createInput({
      groups: [
        { ...group, networks: ['public'] },
        { ...group, name: 'y' },
      ],
    }),
  );
  expect(vnisOf(bench, 'a')).toEqual({ private: 8 });
  expect(() => bench.step({ ...bench.createInput({ groups: [group] }, 'b'), lots: [] })).toThrow(
    'no lot for network private',
  );
});
