import type { Policy } from './index.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vmMemoryMiB } from '../memory.ts';
import { LeaseBench, settings } from '../../../test/support/lease.ts';
import { place } from '../placement.ts';
import type { PoolSettings } from '../settings.ts';
import { slotFor } from './index.ts';

const with_ = (policy: Policy): PoolSettings => ({ ...settings, policy });
const group = (count: number, memoryMiB: number, cpus: number) => ({ count, memoryMiB, cpus });

describe('pack', () => {
  const pack = with_({ kind: 'pack', vmsPerNode: 4 });

  it('puts VMs together as far as memory, processors and the site’s number allow, and asks for what they take', () => {
    expect(slotFor([group(8, 448, 1)], 600_000, pack)).toMatchObject({
      nodesWanted: 2,
      memoryMiBPerNode: 4 * 512,
      cpusPerNode: 4,
    });
    // Two of 4,000 MiB each fill a node of 8,192.
    expect(slotFor([group(4, 4_000, 1)], 600_000, pack)).toMatchObject({ nodesWanted: 2 });
    // A node has four processors.
    expect(slotFor([group(4, 64, 3)], 600_000, pack)).toMatchObject({ nodesWanted: 4, cpusPerNode: 3 });
  });

  it('is exact where nothing can share, and before the LRM has said what its nodes are', () => {
    const large = [group(3, 8_000, 4)];
    expect(slotFor(large, 600_000, pack)).toEqual(slotFor(large, 600_000, settings));
    expect(slotFor([group(3, 64, 1)], 600_000, { ...pack, site: null })).toMatchObject({ nodesWanted: 3 });
  });

  it('deploys all VMs of one workspace on the nodes that it has asked for', () => {
    const bench = new LeaseBench({ policy: { kind: 'pack', vmsPerNode: 4 } });
    bench.create(6);
    expect(bench.slot).toMatchObject({ nodesWanted: 2, memoryMiBPerNode: 4 * 320, cpusPerNode: 4 });
    bench.submitted();
    for (const node of ['n0', 'n1']) bench.notify(node, { kind: 'node', state: 'reserved' });
    expect(bench.vms.map(({ node }) => node)).toEqual(['n0', 'n0', 'n0', 'n0', 'n1', 'n1']);
  });
});

describe('extendable', () => {
  it('asks for a longer slot than the lease is, but not for one that no lease could use', () => {
    const longer = with_({ kind: 'extendable', factor: 2 });
    expect(slotFor([group(1, 64, 1)], 3_600_000, longer).walltimeMs).toBe(2 * 3_600_000 + 120_000);
    const longest = settings.maxDurationMs;
    expect(slotFor([group(1, 64, 1)], longest, longer)).toEqual(
      slotFor([group(1, 64, 1)], longest, settings),
    );
  });

  it('lets a lease be extended without the LRM', () => {
    const bench = new LeaseBench({ policy: { kind: 'extendable', factor: 2 } });
    bench.create(1, { durationMs: 600_000 });
    expect(bench.slot.walltimeMs).toBeGreaterThanOrEqual(1_200_000);
    bench.submitted();
    const jobEndsAt = bench.now + bench.slot.walltimeMs;
    bench.observed({ state: 'running', endsAt: jobEndsAt });
    bench.notify('n0', { kind: 'node', state: 'reserved' });
    bench.vm(0, 'running');
    const endsAt = bench.workspace.endsAt ?? 0;
    expect(endsAt - bench.now).toBe(600_000);
    bench.step({ type: 'extend', workspaceId: bench.ws, by: 'ann', durationMs: 600_000 });
    expect(bench.workspace.endsAt).toBe(endsAt + 600_000);
  });
});

describe('every policy', () => {
  const policy = fc.oneof(
    fc.constant({ kind: 'exact' as const }),
    fc.record({ kind: fc.constant('pack' as const), vmsPerNode: fc.integer({ min: 1, max: 8 }) }),
    fc.record({
      kind: fc.constant('extendable' as const),
      factor: fc.double({ min: 1, max: 5, noNaN: true }),
    }),
  );
  const groups = fc.array(
    fc.record({
      count: fc.integer({ min: 1, max: 8 }),
      memoryMiB: fc.integer({ min: 16, max: 4_000 }),
      cpus: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 1, maxLength: 5 },
  );

  it('asks for a slot that holds all VMs, on nodes that the site has, no more of them than there are VMs (property)', () => {
    fc.assert(
      fc.property(policy, groups, (chosen, wanted) => {
        const slot = slotFor(wanted, 600_000, with_(chosen));
        const vms = wanted.flatMap(({ count, memoryMiB, cpus }, index) =>
          Array.from({ length: count }, (_, nth) => ({
            id: `${index}-${nth}`,
            memoryMiB: vmMemoryMiB({ memoryMiB, cpus }, settings.memory),
            cpus,
          })),
        );
        expect(slot.nodesWanted).toBeLessThanOrEqual(vms.length);
        expect(slot.memoryMiBPerNode).toBeLessThanOrEqual(settings.site?.memoryMiBPerNode ?? 0);
        expect(slot.cpusPerNode).toBeLessThanOrEqual(settings.site?.cpusPerNode ?? 0);
        const most = chosen.kind === 'pack' ? chosen.vmsPerNode : 1;
        const nodes = Array.from({ length: slot.nodesWanted }, (_, index) => ({
          name: `n${index}`,
          memoryMiB: slot.memoryMiBPerNode,
          cpus: slot.cpusPerNode,
          vms: most,
        }));
        const placed = place(vms, nodes);
        expect(placed?.size).toBe(vms.length);
        for (const { name } of nodes) {
          const here = vms.filter(({ id }) => placed?.get(id) === name);
          expect(here.length).toBeLessThanOrEqual(most);
          expect(here.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0)).toBeLessThanOrEqual(
            slot.memoryMiBPerNode,
          );
          expect(here.reduce((sum, { cpus }) => sum + cpus, 0)).toBeLessThanOrEqual(slot.cpusPerNode);
        }
      }),
      { numRuns: 3_000, seed: 13 },
    );
  });
});
