import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind } from '../kind.ts';
import { pbsOptionMistakes } from './options.ts';
import { type PbsSettings, pbs } from './pbs.ts';

const schema = ({ Type, strict, Word, Arguments, Path, Program }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('pbs'),
      /** OpenPBS (and PBS Professional), or Torque: they answer in different forms. */
      dialect: Type.Union([Type.Literal('openpbs'), Type.Literal('torque')]),
      queue: Type.Optional(Word),
      /** The account to charge (qsub -A). */
      account: Type.Optional(Word),
      /** Extra arguments for qsub. */
      options: Type.Optional(Arguments),
      /** Directory of qsub, qstat, qdel, qalter, pbsnodes here and of pbsdsh on the nodes. Default: PATH. */
      binDir: Type.Optional(Path),
      /** The server's name. Default: the host's configuration. */
      server: Type.Optional(Word),
      /**
       * Directory that this host and the nodes share, for the service's user alone. Default:
       * .workspace-pilot/pbs in the home.
       */
      programDir: Type.Optional(Path),
      /** The Node program on the nodes. Default: node. */
      node: Type.Optional(Program),
    },
    strict,
  );

type Settings = { readonly kind: 'pbs' } & PbsSettings;

/** OpenPBS, PBS Professional, Torque. */
export const pbsKind: LrmKind = {
  kind: 'pbs',
  schema,
  read(entry: EntryOf<typeof schema>, { path, word }) {
    const { account, options = [], binDir, programDir, node, ...rest } = entry;
    const lrm: Settings = {
      ...rest,
      binDir: path(binDir),
      programDir: path(programDir),
      node: word(node),
    };
    return { lrm, gang: { queue: entry.queue, account, options } };
  },
  optionMistakes: pbsOptionMistakes,
  neededPaths: ({ binDir }: Settings) => [['binDir', binDir, 'directory']],
  open: (settings: Settings) => ({ lrm: pbs(settings, systemProcesses, systemClock) }),
};
