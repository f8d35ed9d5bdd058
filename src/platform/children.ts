import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Duplex, Readable, Writable } from 'node:stream';

/** What one of a child's file descriptors is: a pipe to us, /dev/null, or a descriptor that we have open. */
export type ChildStdio = 'pipe' | 'ignore' | number;

/** How a program is started. */
export interface ChildOptions {
  /** Standard input, output and error, in order; further entries are descriptors 3, 4, … Default: `['ignore', 'ignore', 'ignore']`. */
  readonly stdio?: readonly ChildStdio[] | undefined;
  /** The whole environment. Default: ours. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** A session and process group of its own (setsid), so that signals to our group do not reach it. Default false. */
  readonly detached?: boolean | undefined;
}

/** How a program ended. */
export interface ChildExit {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs beside us. The streams are null unless their `stdio` entry is `'pipe'`. */
export interface Child {
  readonly pid: number;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Descriptor 3, both ways. Unlike `stdin` it stays open when the child ends: for a child that leaves another process behind. */
  readonly extra: Duplex | null;
  /** Resolves once, when the process is gone and all its output has been read. Never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Sends a signal, by default SIGTERM; false: the process is gone, or not ours to signal. */
  kill(signal?: NodeJS.Signals): boolean;
  /** Lets this process end while the child lives. */
  unref(): void;
}

/** A command that could not be started, ran over its deadline, or printed more than its limit. */
export class CommandFailure extends Error {
  readonly kind: 'not-found' | 'not-started' | 'timeout' | 'too-much-output';
  readonly argv: readonly string[];
  constructor(kind: CommandFailure['kind'], argv: readonly string[], message: string) {
    super(message);
    this.name = 'CommandFailure';
    this.kind = kind;
    this.argv = argv;
  }
}

/** Starts long-running programs. Injected, so that tests can stand in for them. */
export type StartChild = (argv: readonly [string, ...string[]], options?: ChildOptions) => Promise<Child>;

/**
 * Starts a program that is to live beside us: an argument vector, never a shell string.
 * Resolves when the kernel has executed it; rejects with `CommandFailure` (`not-found`, `not-started`) when it cannot.
 */
export const startChild: StartChild = (argv, options = {}) => {
  const [command, ...args] = argv;
  return new Promise<Child>((resolve, reject) => {
    const { stdio = ['ignore', 'ignore', 'ignore'], cwd, detached = false } = options;
    const env = options.env ?? process.env;
    const failed = (cause: NodeJS.ErrnoException): void => reject(spawnFailure(argv, cwd, cause));
    let child: ChildProcess;
    try {
      child = spawn(command, args, { stdio: [...stdio], env, cwd, detached });
    } catch (cause) {
      // Bad arguments (a NUL byte in an argument, a closed descriptor) are thrown at once.
      failed(cause as NodeJS.ErrnoException);
      return;
    }
    // 'error' also tells of a signal that could not be sent; after the spawn it changes nothing.
    child.on('error', failed);
    const exited = new Promise<ChildExit>(ended => {
      child.on('close', (code, signal) => ended({ code, signal }));
    });
    // A child that dies breaks its pipe: whoever writes learns it from `exited`.
    child.stdin?.on('error', () => undefined);
    child.on('spawn', () => {
      resolve({
        pid: child.pid ?? 0,
        stdin: child.stdin,
        stdout: child.stdout,
        stderr: child.stderr,
        extra: (child.stdio[3] ?? null) as Duplex | null,
        exited,
        kill: signal => child.kill(signal),
        unref: () => child.unref(),
      });
    });
  });
};

function spawnFailure(
  argv: readonly [string, ...string[]],
  cwd: string | undefined,
  cause: NodeJS.ErrnoException,
): CommandFailure {
  // ENOENT is also what a missing working directory gives; the message names both.
  if (cause.code === 'ENOENT') {
    const where = cwd === undefined ? '' : ` (or its directory ${cwd} is missing)`;
    return new CommandFailure('not-found', argv, `${argv[0]} is not installed or not in PATH${where}`);
  }
  return new CommandFailure('not-started', argv, `${argv[0]} could not be started: ${cause.message}`);
}
