import type { Rule } from './tree.ts';
import { typeScriptOf } from './typescript.ts';

/** People think in minutes: `formatDuration` says 1m where the program has 60000. */
export const peoplesUnits: Rule = {
  name: "a message tells times in people's units",
  check: files =>
    typeScriptOf(files)
      .filter(({ path }) => path.startsWith('src/') && !path.endsWith('.test.ts'))
      .filter(({ text }) => /\$\{[^}`]*\} (ms|s)\b/.test(text))
      .map(
        ({ path }) => `${path}: a message with a bare number of milliseconds or seconds: use formatDuration`,
      ),
};
