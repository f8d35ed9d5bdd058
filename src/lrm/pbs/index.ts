import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import type { LrmKind, LrmSettings } from '../kind.ts';
import { readScheduler } from '../scheduler.ts';
import { pbsOptionMistakes } from './options.ts';
import { pbs } from './pbs.ts';
import { type PbsEntry, type PbsSettings, schema } from './section.ts';

/** OpenPBS, PBS Professional, Torque. */
export const pbsKind: LrmKind = {
  kind: 'pbs',
  schema,
  read(entry: PbsEntry, reader) {
    const { lrm, gang } = readScheduler(entry, reader);
    return { lrm: { ...lrm, programDir: reader.path(entry.programDir) }, gang };
  },
  optionMistakes: pbsOptionMistakes,
  neededPaths: ({ binDir }: LrmSettings & PbsSettings) => [['binDir', binDir, 'directory']],
  open: (settings: LrmSettings & PbsSettings) => ({ lrm: pbs(settings, systemProcesses, systemClock) }),
};
