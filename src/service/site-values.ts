import { isAbsolute } from 'node:path';
import { parseDurationMs, parseMemoryMiB } from '../protocol/units.ts';

/** Values of the site file that a schema cannot check; mistakes are told, and a number comes back all the same. */

/** Tells of a mistake at a path such as `networks[1].subnet`. */
export type Mistake = (path: string, message: string) => void;

/** `1h` in milliseconds. */
export function duration(text: string, path: string, mistake: Mistake): number {
  const ms = parseDurationMs(text);
  if (ms === undefined)
    mistake(path, `must be longer than nothing, and a number that can be counted (it is "${text}")`);
  return ms ?? 0;
}

/** `256M` in MiB. */
export function memory(text: string, path: string, mistake: Mistake): number {
  const memoryMiB = parseMemoryMiB(text);
  if (memoryMiB === undefined) mistake(path, `must be more than nothing (it is "${text}")`);
  return memoryMiB ?? 0;
}

/** A word of a command: `./x` and `../x` are paths relative to the file, all else stays as it is. */
export function word(text: string, at: (path: string) => string): string {
  return !isAbsolute(text) && /^\.{1,2}\//.test(text) ? at(text) : text;
}
