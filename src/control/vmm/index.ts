import { memberOf } from '../../protocol/member.ts';
import type { VmmSettings } from '../../protocol/pilot.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../protocol/section.ts';
import type { VmmMemory } from '../../protocol/vmm-memory.ts';
import type { VmmKind, VmmParts } from './kind.ts';
import { qemuKind } from './qemu/index.ts';
import { simKind } from './sim/index.ts';
import type { Vmm } from './vmm.ts';

/** The table of all members of the family: a new one is its folder and its line here. */
const vmms: readonly VmmKind[] = [qemuKind, simKind];

/** What a section of each kind may hold. */
export function vmmSchemas(kit: SectionKit): SectionSchema[] {
  return vmms.map(vmm => vmm.schema(kit));
}

/** The member that a section, or what has become of it, is of. Throws when there is none. */
export function vmmKind({ kind }: { readonly kind: string }): VmmKind {
  return memberOf(vmms, kind, 'VMM');
}

/** What becomes of a section of the site file. */
export function readVmm(entry: { readonly kind: string }, reader: SectionReader): VmmSettings {
  return vmmKind(entry).read(entry, reader);
}

/** What a site's VMM takes of a node for each VM: known before any node is, so that the LRM can be asked for it. */
export function vmmMemory(settings: VmmSettings): VmmMemory {
  return vmmKind(settings).traits(settings).memory;
}

/** The driver that the site chose. `scratchDirectory`, which exists, is for what a driver writes while it finds out about the node. */
export function createVmm(settings: VmmSettings, scratchDirectory: string, parts: VmmParts): Vmm {
  return vmmKind(settings).create(settings, scratchDirectory, parts);
}
