import { exitWith } from '../platform/printing.ts';
import { messageOf } from '../platform/message-of.ts';

/** Runs a program and exits with the code that it resolves with; with 1, and why, when it fails. */
export function runProgram(main: () => Promise<number>): void {
  void main()
    .catch((cause: unknown) => {
      process.stderr.write(`wsp: ${messageOf(cause)}\n`);
      return 1;
    })
    .then(code => exitWith(code, 'wsp'));
}

/** Says what is wrong with the command line. Returns the exit code for that. */
export function misused(message: string): number {
  process.stderr.write(`wsp: ${message}\n`);
  return 2;
}

/**
 * What came with the program, as a global that its text sets on its first line, taken out of reach
 * of what runs later; undefined when there is none.
 */
export function takeGlobal(name: 'wspAssignment' | 'wspAgentErrand'): unknown {
  const holder = globalThis as Record<string, unknown>;
  const value = holder[name];
  delete holder[name];
  return value;
}
