import type { Rule, TreeFile } from './tree.ts';

/**
 * Who says which versions of Node.js are supported, says the same as the list that `make test
 * NODE=…` takes them from.
 */
export const nodeVersions: Rule = {
  name: 'the supported versions of Node.js are the same everywhere',
  check: files => {
    const majors = textOf(files, 'scripts/node-versions')
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split('.')[0] ?? '');
    if (majors.length === 0) return [];
    const words = `Node.js ${majors.slice(0, -1).join(', ')} or ${majors.at(-1)}`;
    const wanted: readonly (readonly [string, string])[] = [
      ['README.md', words],
      ['docs/admin/install.md', words],
      ['package.json', `"node": "${majors.map(major => `^${major}`).join(' || ')}"`],
      ['src/protocol/check.ts', `[${majors.join(', ')}]`],
    ];
    return wanted
      .filter(([path, text]) => !textOf(files, path).includes(text))
      .map(([path, text]) => `${path}: does not say ${text}, which scripts/node-versions has`);
  },
};

function textOf(files: readonly TreeFile[], path: string): string {
  return files.find(file => file.path === path)?.text ?? '';
}
