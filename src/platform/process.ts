import type { Readable } from 'node:stream';
import { formatDuration } from '../protocol/units.ts';
import { type ChildExit, CommandFailure, startChild } from './children.ts';

export { CommandFailure };

/** The outcome of a finished command. */
export interface CommandResult extends ChildExit {
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command gets, and its limits. */
export interface RunOptions {
  readonly input?: string | undefined;
  /** Killed (SIGKILL) and reported as `CommandFailure` `timeout` after this long. */
  readonly deadlineMs: number;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** The most that is kept of each stream; a command that prints more is killed and reported. Default 64 MiB. */
  readonly maxOutputBytes?: number;
}

/** Runs short commands: an argument vector, never a shell string. Injected, so that tests can stand in for a scheduler. */
export interface ProcessRunner {
  /** Never rejects because of the exit code; rejects with `CommandFailure` when the command cannot run or overruns a limit. */
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<CommandResult>;
}

export const systemProcesses: ProcessRunner = {
  async run(argv, { input = '', deadlineMs, env, cwd, maxOutputBytes: limit = 64 * 1024 * 1024 }) {
    const child = await startChild(argv, { stdio: ['pipe', 'pipe', 'pipe'], env, cwd });
    let failure = undefined as CommandFailure | undefined;
    let giveUp: (why: CommandFailure) => void = () => undefined;
    const givenUp = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    const stop = (kind: CommandFailure['kind'], message: string): void => {
      failure ??= new CommandFailure(kind, argv, message);
      // One that is gone, or not ours to kill, sudo say, is not waited for.
      if (!child.kill('SIGKILL')) giveUp(failure);
      // What it has started may outlive it and hold these open.
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    const timer = setTimeout(
      () => stop('timeout', `${argv[0]} did not end within ${formatDuration(deadlineMs)}`),
      deadlineMs,
    );
    const collect = (stream: Readable | null): (() => string) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream?.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > limit) stop('too-much-output', `${argv[0]} printed more than ${limit} bytes`);
        else chunks.push(chunk);
      });
      return () => Buffer.concat(chunks).toString('utf8');
    };
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    // A command that ends before it has read its input breaks the pipe; its exit code says enough.
    child.stdin?.end(input);
    const ended = Promise.race([child.exited, givenUp]).finally(() => clearTimeout(timer));
    const { code, signal } = await ended;
    if (failure) throw failure;
    return { code, signal, stdout: stdout(), stderr: stderr() };
  },
};
