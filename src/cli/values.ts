import { systemClock } from '../platform/clock.ts';
import { WspError } from '../protocol/errors.ts';
import { momentToCome, parseDurationMs, parseMemoryMiB, parseMoment } from '../protocol/units.ts';

/** What people write behind flags. Each throws `WspError` (`usage`) that names the flag and what it takes. */

/** What somebody has said wrongly, and what to say instead. */
export function usageError(message: string, hint?: string): WspError {
  return new WspError('usage', message, { hint });
}

/** The years that ISO 8601 writes with four digits, and some. */
const farthest = Date.UTC(9_999, 11, 31);

/** `90s`, `1h30m` in milliseconds. */
export function duration(text: string, flag: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined)
    throw usageError(`${flag} ${text} is not a duration: say a time such as 90s, 1h or 1h30m`);
  return durationMs;
}

/** A count. */
export function whole(text: string, flag: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw usageError(`${flag} ${text} is not a whole number of at least 1`);
  return Number(text);
}

/** A count that may be none. */
export function count(text: string, flag: string): number {
  return text === '0' ? 0 : whole(text, flag);
}

/** A size, in MiB. */
export function memory(text: string, flag: string): number {
  const memoryMiB = parseMemoryMiB(text);
  if (memoryMiB === undefined)
    throw usageError(`${flag} ${text} is not a size: say a size such as 256M or 4G`);
  return memoryMiB;
}

/** A moment to come, as ISO 8601: written so, or as a duration from now. */
export function moment(text: string, flag: string): string {
  const at = momentToCome(text, systemClock.now());
  if (at === undefined) throw noTime(text, flag, '30m (from now)');
  return iso(at);
}

/** A moment that has been, as ISO 8601: written so, or as `7d` or `7d ago`. None stays none. */
export function past(text: string | undefined, flag: string): string | undefined {
  if (text === undefined) return undefined;
  const durationMs = parseDurationMs(text.replace(/ +ago$/, ''));
  const at = durationMs === undefined ? parseMoment(text) : systemClock.now() - durationMs;
  if (at === undefined) throw noTime(text, flag, '7d (ago)');
  return iso(at);
}

function iso(at: number): string {
  if (Math.abs(at) <= farthest) return new Date(at).toISOString();
  throw usageError('that time is too far away');
}

function noTime(text: string, flag: string, example: string): WspError {
  return usageError(
    `${flag} ${text} is not a time`,
    `say ${example}, or a time with its zone such as 2026-11-23T14:00:00Z or 2026-11-23T15:00+01:00`,
  );
}

/** What the file behind a flag has, by one of `client/files.ts`. */
export function fromFile<T>(flag: string, path: string, read: (path: string, what: string) => T): T {
  try {
    return read(path, `the file of ${flag}`);
  } catch (cause) {
    if (!(cause instanceof WspError)) throw cause;
    throw usageError(
      cause.message,
      cause.hint ?? `say a file that can be read and is not too long: ${flag} FILE`,
    );
  }
}

/** Collects the values of a flag that may be given several times. */
export const repeat = (value: string, earlier: string[] = []): string[] => [...earlier, value];
