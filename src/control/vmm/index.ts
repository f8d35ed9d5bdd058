import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import type { VmmSettings } from '../../protocol/pilot.ts';
import { createQemuVmm } from './qemu/driver.ts';
import { createSimVmm } from './sim/driver.ts';
import type { Vmm } from './vmm.ts';

/** The driver that the site chose. `scratchDirectory`, which exists, is for what a driver writes while it finds out about the node. */
export function createVmm(
  settings: VmmSettings,
  scratchDirectory: string,
  parts: { readonly clock: Clock; readonly log: Log; readonly run?: ProcessRunner['run'] },
): Vmm {
  switch (settings.kind) {
    case 'qemu':
      return createQemuVmm({ ...settings, scratchDirectory }, parts);
    case 'sim':
      return createSimVmm(settings, parts.clock);
  }
}
