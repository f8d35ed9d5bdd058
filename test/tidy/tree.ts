import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the tree: its path from the root of the checkout, with `/`, and its text. */
export interface TreeFile {
  readonly path: string;
  readonly text: string;
}

/** A rule about the tree. `check` gives one line for each violation, `path:line: what is wrong and what to do`; none when the tree keeps the rule. */
export interface Rule {
  readonly name: string;
  check(files: readonly TreeFile[]): readonly string[];
}

export const root = new URL('../..', import.meta.url).pathname;

/** What .gitignore leaves out: nothing of it is ever committed. */
const notCommitted = new Set(['.git', 'node_modules', 'dist', '.cache']);

/** Every file that is, or is about to be, committed. */
export function readTree(directory = ''): readonly TreeFile[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap(entry => {
    const path = join(directory, entry.name);
    if (notCommitted.has(entry.name) || entry.name.endsWith('.log')) return [];
    if (entry.isDirectory()) return readTree(path);
    return entry.isFile() ? [{ path, text: readFileSync(join(root, path), 'utf8') }] : [];
  });
}

/** Files that a program writes: rules about style are not for them. */
export function isGenerated({ path }: TreeFile): boolean {
  return ['package-lock.json', 'openapi.json', 'src/client/schema.gen.ts'].includes(path);
}

/** The line, counted from 1, of a place in a text. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
