import { posix } from 'node:path';
import { lineAt, type Rule, type TreeFile } from './tree.ts';

const markdown = (files: readonly TreeFile[]): readonly TreeFile[] =>
  files.filter(({ path }) => path.endsWith('.md'));

export const links: Rule = {
  name: 'relative links in documents lead somewhere',
  check: files =>
    markdown(files).flatMap(({ path, text }) =>
      [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
        .filter(([, target = '']) => !/^([a-z]+:|#)/.test(target))
        .filter(([, target = '']) => {
          const [file = '', anchor] = target.split('#');
          const wanted = posix.join(posix.dirname(path), file);
          return !exists(files, wanted) || (anchor !== undefined && !hasAnchor(files, wanted, anchor));
        })
        .map(match => `${path}:${lineAt(text, match.index)}: the link to ${match[1]} leads nowhere`),
    ),
};

/** Documents whose table of contents is the tree. */
const guides = ['ARCHITECTURE.md', 'README.md', 'CONTRIBUTING.md'];
/** Folders of the tree; words in backticks that begin with one of them, and top-level documents, are paths. */
const isPath =
  /^(?:(?:src|test|docs|examples|scripts|bench|guest|bin)\/[\w./-]*|[A-Za-z]+\.(?:md|json|yaml)|Makefile)$/;
/** Not made yet when nobody has built or run anything; a file on another machine. */
const elsewhere = new Set(['cluster.yaml', 'site.yaml', 'image.json']);

export const namedPaths: Rule = {
  name: 'paths named in ARCHITECTURE, README and CONTRIBUTING exist',
  check: files =>
    files
      .filter(({ path }) => guides.includes(path))
      .flatMap(({ path, text }) =>
        [...text.matchAll(/`([^`\n]+)`/g)]
          .filter(([, word = '']) => isPath.test(word) && !elsewhere.has(word) && !exists(files, word))
          .map(match => `${path}:${lineAt(text, match.index)}: \`${match[1]}\` does not exist`),
      ),
};

export const decisions: Rule = {
  name: 'decision records are numbered from 0001 without a gap, and say their number',
  check: files => {
    const records = files.filter(({ path }) => path.startsWith('docs/decisions/')).sort(byPath);
    return records.flatMap(({ path, text }, index) => {
      const number = index + 1;
      const prefix = `docs/decisions/${String(number).padStart(4, '0')}-`;
      if (!path.startsWith(prefix)) return [`${path}: ${prefix}… comes here: renumber`];
      return text.startsWith(`# ${number}. `) ? [] : [`${path}:1: begins with "# ${number}. title"`];
    });
  },
};

/** Blocks of code are blanked, at the same length: brackets in them are no links. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, block => block.replace(/[^\n]/g, ' '));
}

function exists(files: readonly TreeFile[], path: string): boolean {
  const plain = path.replace(/\/$/, '');
  return plain === '.' || files.some(file => file.path === plain || file.path.startsWith(`${plain}/`));
}

/** GitHub's names of headings: lower case, punctuation dropped, blanks to hyphens. */
function hasAnchor(files: readonly TreeFile[], path: string, anchor: string): boolean {
  const text = files.find(file => file.path === path)?.text ?? '';
  return [...text.matchAll(/^#+ (.*)$/gm)].some(
    ([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-') === anchor,
  );
}

function byPath(one: TreeFile, other: TreeFile): number {
  return one.path < other.path ? -1 : 1;
}
