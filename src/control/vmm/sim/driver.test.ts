import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../platform/clock.ts';
import { createVirtualClock } from '../../../platform/virtual-clock.ts';
import { vmmContract } from '../vmm.contract.ts';
import type { MachineSpec } from '../vmm.ts';
import { createSimVmm, type SimSettings } from './driver.ts';

const script: SimSettings = { kind: 'sim', startMs: 5, bootMs: 5, stopMs: 5, failStart: '^unstartable' };

function machine(name: string, agent = true): MachineSpec {
  return {
    vmId: `vm-${name}`,
    name,
    directory: mkdtempSync(join(tmpdir(), 'wsp-sim-')),
    memoryMiB: 64,
    cpus: 1,
    boot: { kind: 'disk' },
    machine: 'q35',
    disks: [],
    nics: [],
    agent,
  };
}

vmmContract('sim', {
  vmm: createSimVmm(script, systemClock),
  machine: () => Promise.resolve(machine('worker-0')),
  unstartable: () => Promise.resolve(machine('unstartable-0')),
  isStarting: () => true,
  processesOf: () => [],
});

describe('the script of the simulated VMM', () => {
  const specs: MachineSpec[] = [];
  afterEach(() => {
    for (const { directory } of specs.splice(0)) rmSync(directory, { recursive: true, force: true });
  });

  /** A VM on a virtual clock, and what it has told. */
  async function started(name: string, agent = true) {
    const clock = createVirtualClock(0);
    const vmm = createSimVmm(
      {
        kind: 'sim',
        startMs: 100,
        bootMs: 1_000,
        stopMs: 300,
        failStart: '^never',
        failBoot: '^broken',
        ignoreShutdown: '^deaf',
      },
      clock,
    );
    const told: string[] = [];
    const spec = machine(name, agent);
    specs.push(spec);
    const starting = vmm.start(spec, {
      context: (state, reason) => told.push(`context ${state} ${reason?.message ?? ''} at ${clock.now()}`),
      exited: ({ clean, reason }) => told.push(`exited ${clean} ${reason?.code ?? ''} at ${clock.now()}`),
    });
    starting.catch(() => undefined);
    await clock.advanceBy(100);
    return { vm: await starting, told, clock };
  }

  it('takes the time that it is told to, for start, boot and stop', async () => {
    const { vm, told, clock } = await started('worker');
    await clock.advanceBy(1_000);
    vm.shutdown();
    await clock.advanceBy(300);
    expect(told).toEqual(['context ok  at 1100', 'exited true  at 1400']);
  });

  it('refuses a VM that matches failStart', async () => {
    await expect(started('never-0')).rejects.toThrow('simulated: never-0 matches failStart');
  });

  it('lets a guest that matches failBoot report an error; one without an agent crashes', async () => {
    const withAgent = await started('broken-0');
    await withAgent.clock.advanceBy(1_000);
    expect(withAgent.told).toEqual(['context error simulated: broken-0 matches failBoot at 1100']);
    const without = await started('broken-1', false);
    await without.clock.advanceBy(1_000);
    expect(without.told).toEqual(['exited false vmm_died at 1100']);
  });

  it('ends a guest that matches ignoreShutdown only by destroying it', async () => {
    const { vm, told, clock } = await started('deaf-0');
    await clock.advanceBy(1_000);
    vm.shutdown();
    await clock.advanceBy(10_000);
    expect(told).toEqual(['context ok  at 1100']);
    await vm.destroy();
    expect(told).toEqual(['context ok  at 1100', 'exited true  at 11100']);
  });
});
