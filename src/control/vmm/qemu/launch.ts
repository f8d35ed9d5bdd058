import { CommandFailure, type ProcessRunner } from '../../../platform/process.ts';
import { confinement } from '../../confine.ts';

/**
 * `env --block-signal` (coreutils ≥ 8.31): schedulers warn a job by signalling all of its processes. The warning is meant for
 * the pilot, which shuts guests down; QEMU itself would drop its guest at once. SIGKILL still ends it.
 */
const blockSignals = ['env', '--block-signal=TERM,INT,HUP,USR1,USR2,XCPU'] as const;

const checkDeadlineMs = 5_000;

/** What starts QEMU confined, and with signals blocked where `env` can do that. */
export async function launchPrefix(
  run: ProcessRunner['run'],
): Promise<{ readonly argv: readonly [string, ...string[]]; readonly blocksSignals: boolean }> {
  const check = await run([...blockSignals, 'true'], { deadlineMs: checkDeadlineMs }).catch(
    (cause: unknown) => {
      if (cause instanceof CommandFailure) return { code: null };
      throw cause;
    },
  );
  const blocksSignals = check.code === 0;
  return { argv: blocksSignals ? [...blockSignals, ...confinement] : confinement, blocksSignals };
}

/** QEMU's environment: nothing of the job's, so nothing that a guest could find in a dump of its VMM. */
export function qemuEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { PATH: env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' };
}
