import { posix } from 'node:path';
import ts from 'typescript';
import type { TreeFile } from '../tidy/tree.ts';
import { nodesOf, parse } from '../tidy/typescript.ts';
import type { Proof } from './proof.ts';

/** What a table of proofs is about, and where a line is to be added: for the messages. */
export interface Table {
  readonly what: string;
  readonly file: string;
  readonly surface: readonly string[];
  readonly proofs: readonly Proof[];
}

/**
 * One line for each thing that no test is named for, for each test that is not there or does not
 * mention what it is named for, and for each thing that is none.
 */
export function mistakesOf(table: Table, files: readonly TreeFile[]): readonly string[] {
  const known = new Set(table.surface);
  const proven = new Set(table.proofs.flatMap(({ of }) => of));
  return [
    ...table.surface
      .filter(item => !proven.has(item))
      .map(
        item =>
          `${table.file}: no test is named that exercises the ${table.what} ${item}: write one, and name it there`,
      ),
    ...[...proven]
      .filter(item => !known.has(item))
      .map(item => `${table.file}: ${item} is no ${table.what}: remove it there`),
    ...table.proofs.flatMap(proof => claimMistakes(table, proof, files)),
  ];
}

function claimMistakes({ file: at }: Table, proof: Proof, files: readonly TreeFile[]): readonly string[] {
  const { file: path, title, of, by } = proof;
  const file = files.find(each => each.path === path);
  if (!file) return [`${at}: there is no ${path}`];
  if (!titlesOf(file).includes(title)) return [`${at}: ${path} has no test "${title}"`];
  const text = textWithImports(file, files);
  return of
    .filter(item => !(by === undefined ? mentions(text, item) : text.includes(by)))
    .map(item => `${at}: ${path} is named for ${item}, but does not mention ${by ?? nameOf(item)}`);
}

/** Titles of `it(…)` and `it.each(…)(…)`, as they are written. */
function titlesOf(file: TreeFile): readonly string[] {
  return [...nodesOf(parse(file))].flatMap(node => {
    if (!ts.isCallExpression(node) || !/^it\b/.test(node.expression.getText())) return [];
    const [title] = node.arguments;
    return title && ts.isStringLiteralLike(title) ? [title.text] : [];
  });
}

/**
 * Its own text, and that of the modules under test/ that it imports, and so on: a test's site file
 * is written there.
 */
function textWithImports(file: TreeFile, files: readonly TreeFile[]): string {
  const seen = new Set<TreeFile>();
  const visit = (each: TreeFile): void => {
    if (seen.has(each)) return;
    seen.add(each);
    for (const [, target = ''] of each.text.matchAll(/from '(\.[^']+)'/g)) {
      const path = posix.join(posix.dirname(each.path), target);
      const imported = path.startsWith('test/') ? files.find(other => other.path === path) : undefined;
      if (imported) visit(imported);
    }
  };
  visit(file);
  return [...seen].map(({ text }) => text).join('\n');
}

const shortFlags: Readonly<Record<string, string>> = {
  '--file': '-f',
  '--follow': '-f',
  '--login': '-l',
  '--ssh-option': '-o',
};

/**
 * The last word: `leases.drain` → drain, `lrm[slurm].kind` → slurm, `wsp create --name` → --name.
 */
function nameOf(item: string): string {
  const kind = /\[(\w+)\]\.kind$/.exec(item)?.[1];
  return kind ?? item.split(/[. ]/).at(-1)?.replace(/\[.*$/, '') ?? item;
}

function mentions(text: string, item: string): boolean {
  const name = nameOf(item);
  const short = shortFlags[name];
  if (short !== undefined && text.includes(`'${short}'`)) return true;
  return new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(text);
}
