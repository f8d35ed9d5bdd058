import { memberOf } from '../protocol/member.ts';
import type { SectionKit, SectionSchema } from '../protocol/section.ts';
import { gridEngineKind } from './gridengine/index.ts';
import type { LrmKind, LrmSettings, OpenedLrm, OptionMistake } from './kind.ts';
import { localKind } from './local/index.ts';
import { pbsKind } from './pbs/index.ts';
import { slurmKind } from './slurm/index.ts';
import { staticKind } from './static/index.ts';

/** The table of all members of the family: a new one is its folder and its line here. */
const lrms: readonly LrmKind[] = [slurmKind, gridEngineKind, pbsKind, localKind, staticKind];

/** What a section of each kind may hold. */
export function lrmSchemas(kit: SectionKit): SectionSchema[] {
  return lrms.map(lrm => lrm.schema(kit));
}

/** The member that a section is of. Throws when there is none: the schema lets none else in. */
export function lrmKind({ kind }: LrmSettings): LrmKind {
  return memberOf(lrms, kind, 'LRM');
}

/** What is wrong with the site's options for the submit command of an LRM. */
export function optionMistakes(kind: string, options: readonly string[]): readonly OptionMistake[] {
  return lrmKind({ kind }).optionMistakes?.(options) ?? [];
}

/** Opens an LRM. `directory`: for what it must keep itself; empty: it is only looked at. */
export async function openLrm(settings: LrmSettings, directory: string): Promise<OpenedLrm> {
  return lrmKind(settings).open(settings, directory);
}
