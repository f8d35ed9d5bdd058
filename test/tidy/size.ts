import ts from 'typescript';
import type { Rule } from './tree.ts';
import { nodesOf, parse, placeOf, typeScriptOf } from './typescript.ts';

const mostLinesOfFunction = 60;

export const functionSize: Rule = {
  name: `no function is longer than ${mostLinesOfFunction} lines`,
  check: files =>
    typeScriptOf(files).flatMap(file =>
      [...nodesOf(parse(file))]
        .filter(ts.isFunctionLike)
        .filter(node => !isSuite(node))
        .map(node => ({ node, lines: linesOf(node) }))
        .filter(({ lines }) => lines > mostLinesOfFunction)
        .map(
          ({ node, lines }) =>
            `${placeOf(node)}: a function of ${lines} lines, at most ${mostLinesOfFunction}`,
        ),
    ),
};

function linesOf(node: ts.Node): number {
  const source = node.getSourceFile();
  const line = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  return line(node.getEnd()) - line(node.getStart()) + 1;
}

/** A list of tests is not one function: the body of a `describe`, or what a contract exports. */
function isSuite(node: ts.SignatureDeclaration): boolean {
  if (!('body' in node) || !node.body || !ts.isBlock(node.body)) return false;
  return node.body.statements.some(
    statement => ts.isExpressionStatement(statement) && /^(describe|it)\b/.test(statement.getText()),
  );
}
