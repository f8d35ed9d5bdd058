import ts from 'typescript';
import type { Rule, TreeFile } from './tree.ts';
import { nodesOf, parse, placeOf, typeScriptOf } from './typescript.ts';

/**
 * Time, chance and child processes come from src/platform, so that the simulated world can give its own. Names are looked at, not types: whoever
 * renames `Date` to get around this is found by a reviewer.
 */
export const ambient: Rule = {
  name: 'no clock, timer, random number or child process outside src/platform',
  check: files =>
    typeScriptOf(files)
      .filter(isBound)
      .flatMap(file => findings(file)),
};

const timers = ['setTimeout', 'setInterval', 'setImmediate'];
const chance = ['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync', 'getRandomValues'];
const modules = ['child_process', 'cluster', 'worker_threads', 'timers', 'timers/promises', 'perf_hooks'];
const bannedImports = new Set(modules.flatMap(name => [name, `node:${name}`]));
const bannedMembers = new Set([
  'Date.now',
  'Math.random',
  'performance.now',
  'process.hrtime',
  'process.uptime',
]);
const bannedNames = new Set([...timers, ...chance]);

/** Tests, scripts and benchmarks too: what runs in real processes is waited for with the same clock. */
function isBound({ path }: TreeFile): boolean {
  if (path.startsWith('src/platform/')) return false;
  return /^(src|scripts|bench|test)\//.test(path);
}

function findings(file: TreeFile): readonly string[] {
  return [...nodesOf(parse(file))].flatMap(node => {
    const what = useOf(node);
    return what === undefined ? [] : [`${placeOf(node)}: ${what}: take it from src/platform`];
  });
}

function useOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const typesOnly = node.importClause?.isTypeOnly ?? false;
    return !typesOnly && bannedImports.has(node.moduleSpecifier.text)
      ? `imports ${node.moduleSpecifier.text}`
      : undefined;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date')
    return (node.arguments?.length ?? 0) === 0 ? 'new Date() without arguments' : undefined;
  if (ts.isPropertyAccessExpression(node) && bannedMembers.has(node.getText().replace('globalThis.', '')))
    return node.getText();
  if (ts.isIdentifier(node) && bannedNames.has(node.text) && isUse(node)) return node.text;
  return undefined;
}

/** Not a property's or a parameter's own name, which only happens to be the same. */
function isUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    const owner = parent.expression.getText();
    return owner === 'globalThis' || owner === 'crypto';
  }
  if (ts.isTypeNode(parent) || ts.isQualifiedName(parent)) return false;
  return !('name' in parent && parent.name === node) || ts.isImportSpecifier(parent);
}
