import { isAbsolute } from 'node:path';
import type { SectionReader } from '../../protocol/section.ts';
import { parseDurationMs, parseMemoryMiB } from '../../protocol/units.ts';

/** Values of the site file that a schema cannot check; mistakes are told, and a number comes back all the same. */

/** Tells of a mistake at a path such as `networks[1].subnet`. */
export type Mistake = (path: string, message: string) => void;

/** Reads the section that is written at `where`, such as `pools[1].lrm`. `at` makes a path absolute. */
export function sectionReader(where: string, at: (path: string) => string, mistake: Mistake): SectionReader {
  const isPath = (word: string): boolean => !isAbsolute(word) && /^\.{1,2}\//.test(word);
  const told: Mistake = (key, message) => mistake(`${where}.${key}`, message);
  return {
    mistake: told,
    durationMs(text, key) {
      const ms = parseDurationMs(text);
      if (ms === undefined)
        told(key, `must be a duration greater than zero, such as 90s or 10m (it is "${text}")`);
      return ms ?? 0;
    },
    memoryMiB(text, key) {
      const memoryMiB = parseMemoryMiB(text);
      if (memoryMiB === undefined)
        told(key, `must be a size greater than zero, such as 256M or 4G (it is "${text}")`);
      return memoryMiB ?? 0;
    },
    path: text => (text === undefined ? text : (at(text) as typeof text)),
    word: text => (text === undefined || !isPath(text) ? text : (at(text) as typeof text)),
  };
}
