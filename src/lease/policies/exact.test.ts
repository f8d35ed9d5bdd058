import { describe, expect, it } from 'vitest';
import { settings } from '../../../test/support/lease.ts';
import { exactSlot } from './exact.ts';
import { endMarginMs } from './slot-request.ts';

const groups = [
  { count: 1, memoryMiB: 512, cpus: 1 },
  { count: 3, memoryMiB: 256, cpus: 2 },
];

describe('exact', () => {
  it('asks for one node per VM, each large enough for the largest and its overhead', () => {
    expect(exactSlot(groups, 600_000, settings)).toMatchObject({
      nodesWanted: 4,
      memoryMiBPerNode: 576,
      cpusPerNode: 2,
    });
  });

  it('rounds the walltime up to what the LRM counts in: lease, pad, and what pilots need at the end', () => {
    expect(endMarginMs(settings)).toBe(42_000);
    // 600 s + 60 s + 42 s = 702 s: 12 minutes.
    expect(exactSlot(groups, 600_000, settings).walltimeMs).toBe(720_000);
    expect(exactSlot(groups, 618_000, settings).walltimeMs).toBe(720_000);
    expect(exactSlot(groups, 618_001, settings).walltimeMs).toBe(780_000);
  });

  it("stays within the queue's longest job, and needs no answer of the LRM", () => {
    const site = settings.site && { ...settings.site, maxWalltimeMs: 650_000 };
    expect(exactSlot(groups, 600_000, { ...settings, site }).walltimeMs).toBe(650_000);
    expect(exactSlot(groups, 600_000, { ...settings, site: null }).walltimeMs).toBe(672_000);
  });
});
