import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import type { VmmSettings } from '../../protocol/pilot.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../protocol/section.ts';
import type { Vmm, VmmTraits } from './vmm.ts';

/** What drivers work with. `run`: the system's, unless a test stands in for it. */
export interface VmmParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly run?: ProcessRunner['run'];
}

/** A member of the family, as its folder exports it to the table in `index.ts`. */
export interface VmmKind {
  /** `kind` in its section. */
  readonly kind: string;
  /** What its section may hold. */
  schema(kit: SectionKit): SectionSchema;
  read(entry: { readonly kind: string }, reader: SectionReader): VmmSettings;
  /** Known before any node is, so that the LRM can be asked for its memory. */
  traits(settings: VmmSettings): VmmTraits;
  /** `scratchDirectory`, which exists, is for what the driver writes while it finds out about the node. */
  create(settings: VmmSettings, scratchDirectory: string, parts: VmmParts): Vmm;
}
