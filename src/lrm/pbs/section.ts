import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import { schedulerKeys, type SettingsOf } from '../scheduler.ts';

/** The section of PBS. `binDir` is on the nodes too, for pbsdsh. Default there: /etc/pbs.conf. */
export const schema = (kit: SectionKit) =>
  kit.Type.Object(
    {
      kind: kit.Type.Literal('pbs'),
      ...schedulerKeys(kit),
      /** OpenPBS (and PBS Professional), or Torque: they answer in different forms. */
      dialect: kit.Type.Union([kit.Type.Literal('openpbs'), kit.Type.Literal('torque')]),
      /** The server's name: PBS_SERVER, PBS_DEFAULT. Default: the host's configuration. */
      server: kit.Type.Optional(kit.Word),
      /** A directory of its user that nodes share. Default: .workspace-pilot/pbs in the home. */
      programDir: kit.Type.Optional(kit.Path),
    },
    kit.strict,
  );
export type PbsEntry = EntryOf<typeof schema>;
/** What the adapter has of it. */
export type PbsSettings = SettingsOf<PbsEntry>;
