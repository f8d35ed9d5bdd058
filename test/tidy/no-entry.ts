import type { Rule } from './tree.ts';
import { typeScriptOf } from './typescript.ts';

/**
 * What statSync's `throwIfNoEntry` says of a path below a file is not the same in all versions of
 * Node.js that we support: it throws in 20, and is *nothing there* in later ones.
 */
export const noEntry: Rule = {
  name: 'whether something is at a path is asked of statIfThere',
  check: files =>
    typeScriptOf(files)
      .filter(({ path, text }) => path !== 'test/tidy/no-entry.ts' && /throwIfNoEntry\s*:/.test(text))
      .map(({ path }) => `${path}: uses throwIfNoEntry: take statIfThere of src/platform/stat.ts`),
};
