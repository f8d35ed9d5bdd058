import { join } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands } from '../commands.ts';
import type { GridEngineSettings } from './section.ts';

/** Grid Engine's commands, in the cell of these settings. */
export function commandsOf(settings: GridEngineSettings, processes: ProcessRunner): LrmCommands {
  return lrmCommands(
    {
      binDir: settings.binDir,
      inherited: ['SGE_ROOT', 'SGE_CELL', 'SGE_QMASTER_PORT', 'SGE_EXECD_PORT', 'SGE_CLUSTER_NAME'],
      env: environmentOf(settings),
    },
    processes,
  );
}

/** The cell's accounting file; undefined when nothing says where Grid Engine is. */
export function accountingFile({
  root = process.env['SGE_ROOT'],
  cell,
}: GridEngineSettings): string | undefined {
  const name = cell ?? process.env['SGE_CELL'] ?? 'default';
  return root === undefined ? undefined : join(root, name, 'common/accounting');
}

function environmentOf({ root, cell, qmasterPort, execdPort }: GridEngineSettings): NodeJS.ProcessEnv {
  return {
    // qstat's times have no zone.
    TZ: 'UTC',
    ...(root === undefined ? {} : { SGE_ROOT: root }),
    ...(cell === undefined ? {} : { SGE_CELL: cell }),
    ...(qmasterPort === undefined ? {} : { SGE_QMASTER_PORT: String(qmasterPort) }),
    ...(execdPort === undefined ? {} : { SGE_EXECD_PORT: String(execdPort) }),
  };
}
