import type { Policy } from './policies/index.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settings } from '../../test/support/lease.ts';
import { largestGuestMiB, vmMemoryMiB } from './memory.ts';
import type { MemorySettings } from './settings.ts';
import { slotFor } from './policies/index.ts';
import { roomIn } from './policies/held.ts';
import type { Slot, Vm } from './model.ts';
import type { PoolSettings } from './settings.ts';

/** Figures that differ, so that one taken for another shows. */
const memory: MemorySettings = { vmm: { fixedMiB: 100, perCpuMiB: 4, guestShare: 1 / 64 }, pilotMiB: 90 };
const site = (policy: Policy): PoolSettings => ({ ...settings, memory, policy });
const guest = { count: 2, memoryMiB: 512, cpus: 2 };
/** 512 of the guest; 100, 2 × 4 and 512 ÷ 64 of the VMM. */
const vmMiB = 512 + 100 + 8 + 8;

describe('report C: memory is counted once, and all of it', () => {
  it.each([
    ['one VM on each node', { kind: 'exact' }, 2, vmMiB + 90],
    ['two VMs on a node, and one pilot', { kind: 'pack', vmsPerNode: 2 }, 1, 2 * vmMiB + 90],
  ] as const)('report C in the request to the LRM: %s', (_, policy, nodesWanted, memoryMiBPerNode) => {
    expect(slotFor([guest], 600_000, site(policy))).toMatchObject({ nodesWanted, memoryMiBPerNode });
  });

  it('report C in what is left on a node of a slot that is held', () => {
    const slot = {
      memoryMiBPerNode: 2 * vmMiB + 90,
      cpusPerNode: 4,
      nodes: [{ name: 'n0', state: 'reserved' }],
    } as unknown as Slot;
    const vm = { node: 'n0', state: 'running', ...guest } as unknown as Vm;
    const reuse = site({ kind: 'reuse', keepMs: 1, factor: 1, vmsPerNode: 2, shared: false });
    expect(roomIn(slot, [vm], reuse)).toMatchObject([{ memoryMiB: vmMiB, vms: 1 }]);
  });

  it('report C in the largest guest that a node takes: it fits, and one that is larger does not (property)', () => {
    const node = fc.record({
      memoryMiB: fc.integer({ min: 256, max: 100_000 }),
      cpus: fc.integer({ min: 1, max: 8 }),
    });
    fc.assert(
      fc.property(node, ({ memoryMiB, cpus }) => {
        const largest = largestGuestMiB({ memoryMiB, cpus }, memory);
        const needed = (guestMiB: number): number =>
          vmMemoryMiB({ memoryMiB: guestMiB, cpus }, memory) + memory.pilotMiB;
        if (largest > 0) expect(needed(largest)).toBeLessThanOrEqual(memoryMiB);
        expect(needed(largest + 2)).toBeGreaterThan(memoryMiB);
      }),
    );
  });
});
