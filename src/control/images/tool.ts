import { CommandFailure, type ProcessRunner } from '../../platform/process.ts';
import { confined } from '../confine.ts';
import { ControlError } from '../control.ts';

/** How a tool is run, and how its failure is told. */
export interface ToolRun {
  readonly deadlineMs: number;
  /** The code of the `ControlError` when the tool fails. */
  readonly failure: string;
  /** What it makes, for the message: `the seed of VM x`. */
  readonly purpose: string;
}

/** Runs a program that makes a file for a VM, confined. Throws `ControlError`: `tool_missing`, `disk_full`, or the given failure with its own words. */
export async function runTool(
  argv: readonly [string, ...string[]],
  how: ToolRun,
  run: ProcessRunner['run'],
): Promise<void> {
  const result = await confined(run)(argv, { deadlineMs: how.deadlineMs }).catch((cause: unknown) => {
    if (!(cause instanceof CommandFailure)) throw cause;
    const code = cause.kind === 'not-found' ? 'tool_missing' : how.failure;
    throw new ControlError(code, `${how.purpose} could not be made: ${cause.message}`, cause);
  });
  if (result.code === 0) return;
  const words = result.stderr.trim().slice(-500);
  const full = /no space left|disk quota exceeded/i.test(words);
  throw new ControlError(
    full ? 'disk_full' : how.failure,
    `${how.purpose} could not be made: ${argv[0]} says: ${words || `exit code ${result.code}`}`,
  );
}
