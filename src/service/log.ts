import { pino } from 'pino';
import type { Log, LogFields } from '../platform/log.ts';

/** The service's log: one JSON object a line on standard error, written at once, so that the last line before a crash is there too. */
export function serviceLog(level: 'debug' | 'info' = 'info'): Log {
  return wrap(pino({ level, base: null }, pino.destination({ dest: 2, sync: true })));
}

type Pino = ReturnType<typeof pino>;

function wrap(log: Pino): Log {
  return {
    debug: (message, fields: LogFields = {}) => log.debug(fields, message),
    info: (message, fields: LogFields = {}) => log.info(fields, message),
    warn: (message, fields: LogFields = {}) => log.warn(fields, message),
    error: (message, fields: LogFields = {}) => log.error(fields, message),
    with: fields => wrap(log.child(fields)),
  };
}
