import { spawn } from 'node:child_process';
import { formatDuration } from '../protocol/units.ts';

/** The outcome of a finished command. `code` is null when a signal ended it. */
export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command gets, and its limits. */
export interface RunOptions {
  readonly input?: string | undefined;
  /** Killed (SIGKILL) and reported as `CommandTimeout` after this long. */
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

export const systemProcesses: ProcessRunner = {
  run(argv, options) {
    const limit = options.maxOutputBytes ?? 64 * 1024 * 1024;
    return new Promise((resolve, reject) => {
      const [command, ...args] = argv;
      const child = spawn(command, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: options.env ?? process.env,
        cwd: options.cwd,
      });
      let failure: CommandFailure | undefined;
      const stop = (kind: CommandFailure['kind'], message: string): void => {
        failure ??= new CommandFailure(kind, argv, message);
        child.kill('SIGKILL');
        // What it has started may outlive it and hold these open.
        child.stdout.destroy();
        child.stderr.destroy();
      };
      const timer = setTimeout(
        () => stop('timeout', `${command} did not end within ${formatDuration(options.deadlineMs)}`),
        options.deadlineMs,
      );
      const collect = (stream: NodeJS.ReadableStream): (() => string) => {
        const chunks: Buffer[] = [];
        let size = 0;
        stream.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > limit) stop('too-much-output', `${command} printed more than ${limit} bytes`);
          else chunks.push(chunk);
        });
        return () => Buffer.concat(chunks).toString('utf8');
      };
      const stdout = collect(child.stdout);
      const stderr = collect(child.stderr);
      child.on('error', (cause: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        const missing = cause.code === 'ENOENT';
        reject(
          new CommandFailure(
            missing ? 'not-found' : 'not-started',
            argv,
            missing
              ? `${command} is not installed or not in PATH`
              : `${command} could not be started: ${cause.message}`,
          ),
        );
      });
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        if (failure) reject(failure);
        else resolve({ code, signal, stdout: stdout(), stderr: stderr() });
      });
      // A command that ends before it has read its input breaks the pipe; its exit code says enough.
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');
    });
  },
};
