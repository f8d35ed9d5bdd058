import { WspError } from '../protocol/errors.ts';
import { parseDurationMs, parseMemoryMiB } from '../protocol/units.ts';

/** What people write behind flags. Each throws `WspError` (`usage`) that names the flag and what it takes. */

/** `90s`, `1h30m` in milliseconds. */
export function duration(text: string, flag: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined)
    throw new WspError('usage', `${flag} ${text} is not a duration: say 90s, 1h or 1h30m`);
  return durationMs;
}

/** A count. */
export function whole(text: string, flag: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new WspError('usage', `${flag} ${text} is not a whole number of at least 1`);
  return Number(text);
}

/** A count that may be none. */
export function count(text: string, flag: string): number {
  return text === '0' ? 0 : whole(text, flag);
}

/** A size, in MiB. */
export function memory(text: string, flag: string): number {
  const memoryMiB = parseMemoryMiB(text);
  if (memoryMiB === undefined) throw new WspError('usage', `${flag} ${text} is not a size: say 256M or 4G`);
  return memoryMiB;
}

/** A moment as ISO 8601: written so, or as a duration from `now` (milliseconds since the epoch). */
export function moment(text: string, flag: string, now: number): string {
  const durationMs = parseDurationMs(text);
  const at = durationMs === undefined ? Date.parse(text) : now + durationMs;
  if (Number.isNaN(at))
    throw new WspError('usage', `${flag} ${text} is no time: say 30m (from now) or 2026-11-23T14:00:00Z`);
  return new Date(at).toISOString();
}

/** What the file behind a flag has, by one of `client/files.ts`. */
export function fromFile<T>(flag: string, path: string, read: (path: string, what: string) => T): T {
  try {
    return read(path, `the file of ${flag}`);
  } catch (cause) {
    if (!(cause instanceof WspError)) throw cause;
    const { message, hint } = cause;
    throw new WspError('usage', message, hint === undefined ? {} : { hint });
  }
}
