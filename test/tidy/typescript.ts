import ts from 'typescript';
import { isGenerated, type TreeFile } from './tree.ts';

/** The TypeScript files among them, but generated ones. */
export function typeScriptOf(files: readonly TreeFile[]): readonly TreeFile[] {
  return files.filter(file => file.path.endsWith('.ts') && !isGenerated(file));
}

export function parse({ path, text }: TreeFile): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
}

/** Every node of the tree, parents before children. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  const children: ts.Node[] = [];
  ts.forEachChild(node, child => void children.push(child));
  for (const child of children) yield* nodesOf(child);
}

/** `path:line` of a node. */
export function placeOf(node: ts.Node): string {
  const source = node.getSourceFile();
  return `${source.fileName}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}
