import type { Rule } from './tree.ts';
import { typeScriptOf } from './typescript.ts';

/**
 * Node writes to a pipe later than it says, and an exit cuts off what is still to be written; a
 * file takes a part and nobody is told. So there is one way to
 * print and one way to exit.
 */
export const onePrinter: Rule = {
  name: 'what programs print goes through src/platform/printing.ts, and so does their exit',
  check: files =>
    typeScriptOf(files)
      .filter(({ path }) => path.startsWith('src/') && path !== 'src/platform/printing.ts')
      .filter(
        ({ path, text }) =>
          !/[.](contract|test)[.]ts$/.test(path) && /process\.(exit\(|stdout\.write\()/.test(text),
      )
      .map(({ path }) => `${path}: writes to standard output or exits by itself: use print and exitWith`),
};
