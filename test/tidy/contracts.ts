import { posix } from 'node:path';
import ts from 'typescript';
import type { Rule, TreeFile } from './tree.ts';
import { nodesOf, parse, typeScriptOf } from './typescript.ts';

export const contracts: Rule = {
  name: 'every contract is run by a test',
  check: files => {
    const run = new Set(
      typeScriptOf(files)
        .filter(({ path }) => path.endsWith('.test.ts'))
        .flatMap(contractsRunBy),
    );
    return files
      .filter(({ path }) => path.endsWith('.contract.ts') && !run.has(path))
      .map(({ path }) => `${path}: no test imports it and calls what it exports`);
  },
};

function contractsRunBy(file: TreeFile): readonly string[] {
  const source = parse(file);
  const called = new Set(
    [...nodesOf(source)].filter(ts.isCallExpression).map(call => call.expression.getText()),
  );
  return source.statements.filter(ts.isImportDeclaration).flatMap(statement => {
    const { moduleSpecifier, importClause } = statement;
    const bindings = importClause?.namedBindings;
    if (!ts.isStringLiteral(moduleSpecifier) || !bindings || !ts.isNamedImports(bindings)) return [];
    return bindings.elements.some(({ name }) => called.has(name.text))
      ? [posix.join(posix.dirname(file.path), moduleSpecifier.text)]
      : [];
  });
}
