/** Durations and sizes as people write them: `90s`, `1h30m`, `7d`; `256M`, `4G`. In numbers, the unit is in the name. */

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `1h30m`, `90s`, `250ms`; undefined when the text is not a duration or is zero. */
export function parseDurationMs(text: string): number | undefined {
  if (!/^(\d+(ms|s|m|h|d))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g))
    totalMs += Number(amount) * (durationUnits[unit ?? ''] ?? 0);
  return Number.isSafeInteger(totalMs) && totalMs > 0 ? totalMs : undefined;
}

/** MiB of `256M`, `256MiB`, `4G`, `1T`; undefined when the text is not a size in whole MiB or is zero. */
export function parseMemoryMiB(text: string): number | undefined {
  const match = /^(\d+)([MGT])(iB|B)?$/.exec(text);
  if (!match) return undefined;
  const memoryMiB = Number(match[1]) * { M: 1, G: 1_024, T: 1_048_576 }[match[2] as 'M' | 'G' | 'T'];
  return Number.isSafeInteger(memoryMiB) && memoryMiB > 0 ? memoryMiB : undefined;
}

/** An ISO 8601 time with its zone, for JSON Schemas. `parseMoment` also knows the calendar. */
export const momentPattern =
  '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,3})?)?(Z|[+-]\\d\\d:\\d\\d)$';
export const momentWords = 'a time with its zone, such as 2026-11-23T14:00:00Z';

/** Milliseconds since the epoch; undefined when the text is no such time, or of no day or hour. */
export function parseMoment(text: string): number | undefined {
  if (!new RegExp(momentPattern).test(text)) return undefined;
  const at = Date.parse(text);
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split('-').map(Number);
  // Date.parse takes the 30th of February for a day in March.
  return Number.isNaN(at) || day > new Date(Date.UTC(year, month, 0)).getUTCDate() ? undefined : at;
}

/** Milliseconds since the epoch of such a time, or of a duration from `now`; undefined: neither. */
export function momentToCome(text: string, now: number): number | undefined {
  const durationMs = parseDurationMs(text);
  return durationMs === undefined ? parseMoment(text) : now + durationMs;
}

/** The last moment of a year with four digits, in milliseconds since the epoch. */
export const latestMoment = Date.UTC(9_999, 11, 31, 23, 59, 59, 999);

/**
 * ISO 8601 of a time in milliseconds since the epoch. Of a number that is none, the nearest that
 * is: what somebody else has said, once, must not keep the rest from being shown.
 */
export function formatMoment(at: number): string {
  const known = Number.isNaN(at) ? 0 : Math.min(Math.max(at, 0), latestMoment);
  return new Date(known).toISOString();
}

/** `3725000` → `1h2m5s`; under a second, milliseconds. */
export function formatDuration(totalMs: number): string {
  if (totalMs < 1_000) return `${Math.round(totalMs)}ms`;
  let left = Math.round(totalMs / 1_000);
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    if (left >= seconds) parts.push(`${Math.floor(left / seconds)}${unit}`);
    left %= seconds;
  }
  return parts.join('');
}
