import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { schedulerKeys, type SettingsOf } from '../scheduler.ts';

/** Slurm's section of the site file. `queue`: or several, with commas between them. */
export const schema = (kit: SectionKit) =>
  kit.Type.Object(
    {
      kind: kit.Type.Literal('slurm'),
      ...schedulerKeys(kit),
      /** SLURM_CONF for its commands. Default: the environment's. */
      conf: kit.Type.Optional(kit.Path),
    },
    kit.strict,
  );
export type SlurmEntry = EntryOf<typeof schema>;
/** What the adapter has of it. */
export type SlurmSettings = SettingsOf<SlurmEntry>;
