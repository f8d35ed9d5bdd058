import ts from 'typescript';
import type { Rule } from './tree.ts';
import { parse, placeOf, typeScriptOf } from './typescript.ts';

/** Tests and their contracts say what they do in the names of their tests. */
const notSource = /[.](test|contract)[.]ts$/;

export const docstrings: Rule = {
  name: 'every exported function, class, interface and type in src has a docstring',
  check: files =>
    typeScriptOf(files)
      .filter(({ path }) => path.startsWith('src/') && !notSource.test(path))
      .flatMap(file => {
        const { statements } = parse(file);
        return statements
          .filter(statement => isExported(statement) && needsOne(statement))
          .filter(statement => !hasDocstring(statement) && !isTypeOfValueAbove(statement, statements))
          .map(statement => `${placeOf(statement)}: ${nameOf(statement)} has no docstring`);
      }),
};

function isExported(statement: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement) ?? []).some(modifier => modifier.kind === ts.SyntaxKind.ExportKeyword)
  );
}

function needsOne(statement: ts.Statement): boolean {
  return (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement)
  );
}

function hasDocstring(statement: ts.Statement): boolean {
  const text = statement.getSourceFile().text;
  return (ts.getLeadingCommentRanges(text, statement.getFullStart()) ?? []).some(({ pos }) =>
    text.startsWith('/**', pos),
  );
}

/** `export type Name = Static<typeof Name>` stands right under the schema or the list that it is the type of, and says nothing new. */
function isTypeOfValueAbove(statement: ts.Statement, all: readonly ts.Statement[]): boolean {
  if (!ts.isTypeAliasDeclaration(statement)) return false;
  const before = all[all.indexOf(statement) - 1];
  return (
    before !== undefined &&
    ts.isVariableStatement(before) &&
    before.declarationList.declarations.some(({ name }) =>
      new RegExp(`typeof ${name.getText()}\\b`).test(statement.type.getText()),
    )
  );
}

function nameOf(statement: ts.Statement): string {
  return 'name' in statement ? ((statement.name as ts.Identifier | undefined)?.text ?? 'default') : 'default';
}
