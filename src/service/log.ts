import { pino } from 'pino';
import type { Log, LogFields } from '../platform/log.ts';

/** Lines that could not be written (the disk is full) are kept up to this; what is over is lost. */
const keptBytes = 1_048_576;

/**
 * The service's log: one JSON object a line on standard error, written at once, so that none is lost
 * in a crash. A log that cannot be written or is not read ends no service: leases matter more.
 */
export function serviceLog(level: 'debug' | 'info' = 'info'): Log {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: keptBytes });
  destination.on('error', () => undefined);
  return wrap(pino({ level, base: null }, destination));
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
