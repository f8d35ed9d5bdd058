import type { VmmSettings } from '../../protocol/pilot.ts';
import type { VmmMemory } from '../../protocol/vmm-memory.ts';
import { qemuMemory } from './qemu/memory.ts';
import { simMemory } from './sim/memory.ts';

/**
 * What a site's VMM takes of a node for each VM, as its driver states it: known before any node is,
 * so that the LRM can be asked for it.
 */
export function vmmMemory(settings: VmmSettings): VmmMemory {
  switch (settings.kind) {
    case 'qemu':
      return qemuMemory(settings.accelerator);
    case 'sim':
      return simMemory;
  }
}
