import { join } from 'node:path';
import { CommandFailure, type CommandResult, type ProcessRunner } from '../platform/process.ts';
import { LrmError } from './lrm.ts';
import { oneLine } from '../platform/one-line.ts';

/** The commands of a scheduler. Both throw `LrmError` (`unavailable`). */
export interface LrmCommands {
  /** A command's outcome, whatever its exit code. */
  run(command: string, args: readonly string[], input?: string): Promise<CommandResult>;
  /** What a command prints when it succeeds. */
  ask(command: string, args: readonly string[]): Promise<string>;
}

const commandDeadlineMs = 30_000;
/** What every scheduler's commands need of our environment. Some hand on to the job all that they are given, and the rest is none of the job's business. */
const always = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG'];

/** The commands in `binDir` (default: PATH), with `env` on top of the little of our environment that they get; `inherited`: names of more. */
export function lrmCommands(
  where: {
    readonly binDir?: string | undefined;
    readonly inherited: readonly string[];
    readonly env: NodeJS.ProcessEnv;
  },
  processes: ProcessRunner,
): LrmCommands {
  const run: LrmCommands['run'] = async (command, args, input) => {
    const path = where.binDir === undefined ? command : join(where.binDir, command);
    const own = Object.fromEntries([...always, ...where.inherited].map(name => [name, process.env[name]]));
    try {
      return await processes.run([path, ...args], {
        deadlineMs: commandDeadlineMs,
        env: { ...own, ...where.env },
        input,
      });
    } catch (cause) {
      if (cause instanceof CommandFailure) throw new LrmError('unavailable', cause.message, cause);
      throw cause;
    }
  };
  return {
    run,
    async ask(command, args) {
      const result = await run(command, args);
      if (result.code !== 0)
        throw new LrmError('unavailable', `${command}: ${oneLine(result.stderr || result.stdout)}`);
      return result.stdout;
    },
  };
}

/** `1:30:00`, `90:00` or `5400` in seconds; undefined for anything else (`INFINITY`). */
export function secondsOf(text: string): number | undefined {
  if (!/^[0-9]+(:[0-9]+){0,2}$/.test(text)) return undefined;
  return text.split(':').reduce((total, part) => total * 60 + Number(part), 0);
}
