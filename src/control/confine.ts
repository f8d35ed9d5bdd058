import { CommandFailure, type ProcessRunner } from '../platform/process.ts';

/**
 * What is put before every program that the pilot starts for a guest: QEMU, and the tools that make and read its files. A guest may break out of them.
 * `setpriv` (util-linux) replaces itself by the program:
 *
 * - `--no-new-privs`: sudo, and any other program that runs as somebody else, gives the program no more than it has (prctl(2)).
 *   So who has broken out of QEMU does not reach the helper's sudo rule.
 * - `--pdeathsig KILL`: the kernel kills the program when the pilot's process is gone, however it went.
 */
export const confinement = ['setpriv', '--pdeathsig', 'KILL', '--no-new-privs', '--'] as const;

/** What setpriv exits with when it does not find the program. */
const notFoundCode = 127;

/** Runs short commands as `run` does, each confined. */
export function confined(run: ProcessRunner['run']): ProcessRunner['run'] {
  return async (argv, options) => {
    const result = await run([...confinement, ...argv], options);
    if (result.code === notFoundCode)
      throw new CommandFailure('not-found', argv, `${argv[0]} is not installed or not in PATH`);
    return result;
  };
}
