import { CommandFailure, type ProcessRunner } from '../../platform/process.ts';
import { confinedTool } from '../confine.ts';
import { ControlError } from '../control.ts';

/** How a tool is run, and how its failure is told. */
export interface ToolRun {
  readonly deadlineMs: number;
  /** The code of the `ControlError` when the tool fails. */
  readonly failure: string;
  /** What its failure means: `the seed of VM x could not be made`. */
  readonly trouble: string;
}

/**
 * Runs a program that makes or reads a file for a VM, confined and with limits; resolves with what
 * it prints. Throws `ControlError`: `tool_missing`, `disk_full`, or the given failure with its own
 * words.
 */
export async function runTool(
  argv: readonly [string, ...string[]],
  how: ToolRun,
  run: ProcessRunner['run'],
): Promise<string> {
  const result = await confinedTool(run)(argv, { deadlineMs: how.deadlineMs }).catch((cause: unknown) => {
    if (!(cause instanceof CommandFailure)) throw cause;
    const code = cause.kind === 'not-found' ? 'tool_missing' : how.failure;
    throw new ControlError(code, `${how.trouble}: ${cause.message}`, cause);
  });
  if (result.code === 0) return result.stdout;
  const words = result.stderr.trim().slice(-500);
  const full = /no space left|disk quota exceeded/i.test(words);
  throw new ControlError(
    full ? 'disk_full' : how.failure,
    `${how.trouble}: ${argv[0]} says: ${words || `exit code ${result.code}`}`,
  );
}
