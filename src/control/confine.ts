import { CommandFailure, type ProcessRunner } from '../platform/process.ts';

/**
 * What is put before every program that the pilot starts for a guest: QEMU, and the tools that make
 * and read its files. A guest may break out of them. `setpriv` (util-linux) replaces itself by the
 * program:
 *
 * - `--no-new-privs`: sudo, and any other program that runs as somebody else, gives the program no more than it has (prctl(2)).
 *   So who has broken out of QEMU does not reach the helper's sudo rule.
 * - `--pdeathsig KILL`: the kernel kills the program when the pilot's process is gone, however it went.
 */
export const confinement = ['setpriv', '--pdeathsig', 'KILL', '--no-new-privs', '--'] as const;

/** What setpriv exits with when it does not find the program. */
const notFoundCode = 127;

/**
 * What a tool may use that makes or reads files (prlimit(1), util-linux): far more than it needs,
 * and less than a file that was made to harm it would have it take. A core dump would hold what it
 * has read.
 */
const toolLimits = ['prlimit', `--as=${2 ** 30}`, '--cpu=30', '--core=0', '--'] as const;

/** Runs short commands as `run` does, each confined. */
export function confined(run: ProcessRunner['run']): ProcessRunner['run'] {
  return after(confinement, run);
}

/** As `confined`, and with limits on memory and processor time. */
export function confinedTool(run: ProcessRunner['run']): ProcessRunner['run'] {
  return after([...toolLimits, ...confinement], run);
}

function after(prefix: readonly [string, ...string[]], run: ProcessRunner['run']): ProcessRunner['run'] {
  return async (argv, options) => {
    const result = await run([...prefix, ...argv], options);
    if (result.code === notFoundCode)
      throw new CommandFailure('not-found', argv, `${argv[0]} is not installed or not in PATH`);
    return result;
  };
}
