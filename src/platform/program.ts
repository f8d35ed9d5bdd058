import type { Child, StartChild } from './children.ts';

/**
 * Runs a program text with Node, handed over on standard input (`node -`), so that it is neither on disk nor in an argument. Of our environment it gets
 * what finds programs and the home directory; its process group is its own. `enter`: words before `node` (a namespace to enter).
 * Rejects with `CommandFailure` when it cannot be started.
 */
export async function startProgram(
  startChild: StartChild,
  how: {
    readonly node: string;
    readonly program: string;
    readonly env: NodeJS.ProcessEnv;
    readonly enter?: readonly string[];
  },
): Promise<Child> {
  const [command = how.node, ...args] = [...(how.enter ?? []), how.node, '-'];
  const child = await startChild([command, ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...how.env },
    detached: true,
  });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(how.program);
  return child;
}
