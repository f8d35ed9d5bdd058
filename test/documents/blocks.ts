import { isGenerated, type TreeFile } from '../tidy/tree.ts';

/** A fenced block of a document. */
export interface Block {
  /** The document's path from the root of the checkout. */
  readonly page: string;
  /** What stands behind the fence: `sh`, `yaml site`, nothing. */
  readonly kind: string;
  readonly text: string;
  /** The first line, for people. */
  readonly first: string;
}

/** Every fenced block of every document. */
export function blocksOf(files: readonly TreeFile[]): readonly Block[] {
  return files
    .filter(file => file.path.endsWith('.md') && !isGenerated(file))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map(([, kind = '', content = '']) => ({
        page: path,
        kind: kind.trim(),
        text: content,
        first: content.trim().split('\n')[0]?.trim() ?? '',
      })),
    );
}

/**
 * The commands `wsp …` of a block, each as its words: prompts, comments, assignments before it and
 * what the shell does with its output are left out.
 */
export function commandsIn(text: string): readonly (readonly string[])[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .flatMap(line =>
      line
        .replace(/^\s*\$ |sudo -u wsp /g, '')
        .replace(/\s# .*$/, '')
        .split(/\|\|?|&&|;|\$\(/),
    )
    .map(part => wordsOf(part.replace(/[<>].*$/, '').trim()))
    .map(words => words.slice(words.findIndex(word => /(^|\/)wsp$/.test(word))))
    .filter(([program = '', ...words]) => /(^|\/)wsp$/.test(program) && words.length > 0)
    .map(([, ...words]) => words);
}

/** Words as a shell has them, of what documents use: single and double quotes. */
function wordsOf(text: string): readonly string[] {
  return [...text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/["']/g, ''));
}
