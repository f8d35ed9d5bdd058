import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseBench, startedAt } from '../../../test/support/lease.ts';
import { usageOf } from './usage.ts';

const everything = () => true;
/** 1,000 VMs would be as good: one workspace of `ann` with two VMs. */
function site() {
  const bench = new LeaseBench().running(2);
  const [one = '', two = ''] = bench.workspace.vmIds;
  return { bench, one, two };
}

describe('usage', () => {
  it('is what the VMs have run, each by its own times, within the period', () => {
    const { bench, one, two } = site();
    const at = (seconds: number): number => startedAt + seconds * 1_000;
    const events = [
      { type: 'vm.running', at: at(10), vmId: one },
      { type: 'vm.running', at: at(20), vmId: two },
      { type: 'vm.running', at: at(25), vmId: one },
      { type: 'vm.failed', at: at(50), vmId: two },
    ];
    const line = (since: number, until: number) =>
      usageOf(bench.state, events, { since: at(since), until: at(until), now: at(100) }, everything)[0];
    expect(line(0, 200)).toMatchObject({
      kind: 'user',
      name: 'ann',
      workspaces: 1,
      vms: 2,
      vmMinutes: 120,
      vmSeconds: 90 + 30,
      cpuSeconds: 120,
      memoryMiBSeconds: 120 * 256,
    });
    expect(line(30, 40)?.vmSeconds).toBe(20);
    expect(line(60, 70)?.vmSeconds).toBe(10);
    expect(line(0, 10)?.vmSeconds).toBe(0);
  });

  it('has no line for what one may not see', () => {
    const { bench } = site();
    expect(usageOf(bench.state, [], { since: 0, until: 1, now: 1 }, () => false)).toEqual([]);
  });

  it('of adjoining periods adds up to that of the whole, to the millisecond (property)', () => {
    const { bench, one, two } = site();
    const vmEvent = fc.record({
      type: fc.constantFrom('vm.running', 'vm.terminated', 'vm.failed'),
      at: fc.integer({ min: 0, max: 10_000 }),
      vmId: fc.constantFrom(one, two),
    });
    fc.assert(
      fc.property(
        fc.array(vmEvent, { maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 12_000 }), { minLength: 1, maxLength: 6 }),
        (unordered, cuts) => {
          const events = unordered.toSorted((earlier, later) => earlier.at - later.at);
          const seconds = (since: number, until: number): number =>
            usageOf(bench.state, events, { since, until, now: 11_000 }, everything)[0]?.vmSeconds ?? 0;
          const borders = [0, ...cuts.toSorted((one, other) => one - other), 12_000];
          const parts = borders.slice(1).map((until, index) => seconds(borders[index] ?? 0, until));
          const sumMs = parts.reduce((sum, part) => sum + Math.round(part * 1_000), 0);
          expect(sumMs).toBe(Math.round(seconds(0, 12_000) * 1_000));
        },
      ),
      { numRuns: 2_000, seed: 5 },
    );
  });
});
