import { join } from 'node:path';
import type { ProcessRunner } from '../../platform/process.ts';
import { type LrmCommands, lrmCommands } from '../commands.ts';

/** Where Grid Engine's commands are, and what of it gangs use. */
export interface GridEngineSettings {
  /** Directory of qsub, qstat, qdel, qhost, qselect, qconf. Default: PATH. */
  readonly binDir?: string | undefined;
  /** SGE_ROOT, SGE_CELL and the daemons' ports for them. Default: the environment's. */
  readonly root?: string | undefined;
  readonly cell?: string | undefined;
  readonly qmasterPort?: number | undefined;
  readonly execdPort?: number | undefined;
  /**
   * The queue that gangs go to, for the limits. Default: all that have the parallel environments.
   */
  readonly queue?: string | undefined;
  /**
   * Parallel environments, one for each number of slots on a node that VMs may need (sge_pe(5):
   * allocation_rule, a number; control_slaves TRUE).
   */
  readonly parallelEnvironments: readonly string[];
  /**
   * The resource that counts memory (complex(5)). Not one that sets a limit on addresses (h_vmem):
   * Node.js and QEMU reserve many.
   */
  readonly memoryResource: string;
  /**
   * Directory that this host and the nodes share and the service's user alone can read. Default:
   * .workspace-pilot in the home.
   */
  readonly programDir?: string | undefined;
  /** The Node program on the nodes. Default: `node`. */
  readonly node?: string | undefined;
}

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
