import type { Clock } from './clock.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** What a line of the log says besides its message. Never a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A structured log: one JSON object a line, fields before prose. Secrets are never fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  with(fields: LogFields): Log;
}

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const;

/** Writes pino's line format (`level`, `time`, `msg`) without loading pino: the pilot starts too often to afford it. */
export function jsonLog(clock: Clock, write: (line: string) => void, fields: LogFields = {}): Log {
  const at =
    (level: number) =>
    (message: string, more: LogFields = {}): void =>
      write(`${JSON.stringify({ level, time: clock.now(), ...fields, ...more, msg: message })}\n`);
  return {
    debug: at(levels.debug),
    info: at(levels.info),
    warn: at(levels.warn),
    error: at(levels.error),
    with: more => jsonLog(clock, write, { ...fields, ...more }),
  };
}

/** Lines of a log, so many bytes a second at most; the next line says how many were left out. */
export function pacedLines(clock: Clock, bytes: Rate, write: (line: string) => void): (line: string) => void {
  const bucket = new TokenBucket(clock, bytes);
  let leftOut = 0;
  return line => {
    if (bucket.waitMs() > 0) {
      leftOut += 1;
      return;
    }
    bucket.spend(line.length);
    if (leftOut > 0)
      jsonLog(clock, write).warn('lines of this log are missing: there were too many', { leftOut });
    leftOut = 0;
    write(line);
  };
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLog,
};

/** An error as log fields: name, message and stack, for the log only (users see the message). */
export function errorFields(cause: unknown): LogFields {
  return cause instanceof Error
    ? { error: { name: cause.name, message: cause.message, stack: cause.stack } }
    : { error: { message: String(cause) } };
}
