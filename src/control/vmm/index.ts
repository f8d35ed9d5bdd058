import { memberOf } from '../../protocol/member.ts';
import type { SectionKit, SectionSchema } from '../../protocol/section.ts';
import type { VmmKind } from './kind.ts';
import { qemuKind } from './qemu/index.ts';
import { simKind } from './sim/index.ts';

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
