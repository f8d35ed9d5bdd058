import { systemProcesses } from '../../platform/process.ts';
import type { LrmKind, LrmSettings } from '../kind.ts';
import { readScheduler } from '../scheduler.ts';
import { slurmOptionMistakes } from './options.ts';
import { schema, type SlurmEntry, type SlurmSettings } from './section.ts';
import { slurm } from './slurm.ts';

/** Slurm. */
export const slurmKind: LrmKind = {
  kind: 'slurm',
  schema,
  read(entry: SlurmEntry, reader) {
    const { lrm, gang } = readScheduler(entry, reader);
    return { lrm: { ...lrm, conf: reader.path(entry.conf) }, gang };
  },
  optionMistakes: slurmOptionMistakes,
  neededPaths: ({ binDir, conf }: LrmSettings & SlurmSettings) => [
    ['binDir', binDir, 'directory'],
    ['conf', conf, 'file'],
  ],
  open: (settings: LrmSettings & SlurmSettings) => ({ lrm: slurm(settings, systemProcesses) }),
};
