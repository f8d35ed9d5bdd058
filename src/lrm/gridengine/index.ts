import { systemClock } from '../../platform/clock.ts';
import { systemProcesses } from '../../platform/process.ts';
import type { LrmKind, LrmSettings } from '../kind.ts';
import { readScheduler } from '../scheduler.ts';
import { gridEngine } from './gridengine.ts';
import { gridEngineOptionMistakes } from './options.ts';
import { type GridEngineEntry, type GridEngineSettings, schema } from './section.ts';

type Settings = LrmSettings & GridEngineSettings;

/** Grid Engine. */
export const gridEngineKind: LrmKind = {
  kind: 'gridengine',
  schema,
  read(entry: GridEngineEntry, reader) {
    const { root, programDir, memoryResource = 'mem_free' } = entry;
    const { lrm, gang } = readScheduler(entry, reader);
    const paths = { root: reader.path(root), programDir: reader.path(programDir) };
    return { lrm: { ...lrm, ...paths, memoryResource }, gang };
  },
  optionMistakes: gridEngineOptionMistakes,
  neededPaths: ({ root, binDir }: Settings) => [
    ['root', root, 'directory'],
    ['binDir', binDir, 'directory'],
  ],
  open: (settings: Settings) => ({ lrm: gridEngine(settings, systemProcesses, systemClock) }),
};
