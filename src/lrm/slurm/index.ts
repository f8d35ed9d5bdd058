import { systemProcesses } from '../../platform/process.ts';
import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind } from '../kind.ts';
import { slurmOptionMistakes } from './options.ts';
import { type SlurmSettings, slurm } from './slurm.ts';

const schema = ({ Type, strict, Word, Arguments, Path, Program }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('slurm'),
      queue: Type.Optional(Word),
      account: Type.Optional(Word),
      /** Extra arguments for sbatch. */
      options: Type.Optional(Arguments),
      /** Directory of sbatch, squeue, scancel, sinfo. Default: PATH. */
      binDir: Type.Optional(Path),
      /** SLURM_CONF for those commands. */
      conf: Type.Optional(Path),
      /** The Node program on the nodes. Default: node. */
      node: Type.Optional(Program),
    },
    strict,
  );

type Settings = { readonly kind: 'slurm' } & SlurmSettings;

/** Slurm. */
export const slurmKind: LrmKind = {
  kind: 'slurm',
  schema,
  read(entry: EntryOf<typeof schema>, { path, word }) {
    const { kind, queue, account, options = [], binDir, conf, node } = entry;
    const lrm: Settings = {
      kind,
      queue,
      options,
      binDir: path(binDir),
      conf: path(conf),
      node: word(node),
    };
    return { lrm, gang: { queue, account, options } };
  },
  optionMistakes: slurmOptionMistakes,
  neededPaths: ({ binDir, conf }: Settings) => [
    ['binDir', binDir, 'directory'],
    ['conf', conf, 'file'],
  ],
  open: (settings: Settings) => ({ lrm: slurm(settings, systemProcesses) }),
};
