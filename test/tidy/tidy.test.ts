import { describe, expect, it } from 'vitest';
import { ambient } from './ambient.ts';
import { contracts } from './contracts.ts';
import { docstrings } from './docstrings.ts';
import { decisions, links, namedPaths } from './documents.ts';
import { noJwk } from './jwk.ts';
import { noEntry } from './no-entry.ts';
import { nodeVersions } from './node-versions.ts';
import { noPathsOfOneMachine, noRegistries } from './places.ts';
import { onePrinter } from './printing.ts';
import { functionSize } from './size.ts';
import { peoplesUnits } from './units.ts';
import { readTree, type Rule, type TreeFile } from './tree.ts';

const supported = {
  'scripts/node-versions': '20.1.2\n22.3.4\n24.5.6\n',
  'package.json': '{ "engines": { "node": "^20 || ^22 || ^24" } }',
  'README.md': 'On Node.js 20, 22 or 24.',
  'docs/admin/install.md': 'Node.js 20, 22 or 24; node: Node.js 20, 22 or 24',
  'src/protocol/check.ts': 'export const supportedNodes = [20, 22, 24];',
};

/** Each rule with trees that break it, once in each way that it knows, and one that keeps it. */
const rules: readonly {
  readonly rule: Rule;
  readonly bad: readonly Readonly<Record<string, string>>[];
  readonly good: Readonly<Record<string, string>>;
}[] = [
  {
    rule: functionSize,
    bad: [
      { 'src/a.ts': `function f() {${'\n'.repeat(60)}}` },
      { 'src/a.ts': `const f = () => {${'\n'.repeat(60)}};` },
      { 'test/a.ts': `class A { m() {${'\n'.repeat(60)}} }` },
      { 'src/a.test.ts': `it('x', () => {${'\n'.repeat(60)}});` },
    ],
    good: {
      'src/a.ts': `function f() {${'\n'.repeat(59)}}`,
      'src/a.test.ts': `describe('x', () => {it('y', f);${'\n'.repeat(60)}});`,
    },
  },
  {
    rule: ambient,
    bad: [
      { 'src/a.ts': 'Date.now();' },
      { 'src/a.ts': 'new Date();' },
      { 'src/a.ts': 'new Date;' },
      { 'src/a.ts': 'globalThis.setTimeout(f, 1);' },
      { 'src/a.ts': 'const later = setTimeout;' },
      { 'bench/a.ts': 'setInterval(f, 1);' },
      { 'src/a.ts': 'setImmediate(f);' },
      { 'test/a.ts': 'Math.random();' },
      { 'src/a.ts': "import { randomBytes } from 'node:crypto';" },
      { 'src/a.ts': 'crypto.randomUUID();' },
      { 'scripts/a.ts': 'performance.now();' },
      { 'src/a.ts': "import { spawn } from 'node:child_process';" },
      { 'src/a.ts': "import { execFile } from 'child_process';" },
      { 'src/a.ts': "import sleep from 'node:timers/promises';" },
    ],
    good: {
      'src/a.ts':
        "new Date(1); 'Date.now()'; clock.now(); const o = { setTimeout: 1 }; socket.setTimeout(1);\nimport type { ChildProcess } from 'node:child_process';",
      'src/platform/a.ts': 'Date.now();',
    },
  },
  {
    rule: docstrings,
    bad: [
      { 'src/a.ts': 'export function f() {}' },
      { 'src/a.ts': 'export class C {}' },
      { 'src/a.ts': '// no docstring\nexport interface I {}' },
      { 'src/a.ts': "export type T = 'x';" },
      { 'src/a.ts': '/** Of another. */\nconst b = 1;\nexport async function f() {}' },
    ],
    good: {
      'src/a.ts':
        'function f() {}\n/** Does. */\nexport function g() {}\n/** Shape. */\nexport const T = 1;\nexport type T = typeof T;',
      'src/a.test.ts': 'export function f() {}',
    },
  },
  {
    rule: noPathsOfOneMachine,
    // Put together here, so that this file keeps the rule.
    bad: ['work/main', 'root/wsp'].map(path => ({ 'docs/a.md': `see ${'/'}${path}` })),
    good: {
      'guest/a': 'cp $root/root/x /root/.ssh/authorized_keys; ls src/work/a',
      'docs/a.md': '/home/ann/x',
    },
  },
  {
    rule: noJwk,
    // Put together here, so that this file keeps the rule.
    bad: [{ 'src/a.ts': `key.export({ format: '${'jwk'}' })` }],
    good: { 'src/a.ts': `key.export({ type: 'spki', format: 'der' })` },
  },
  {
    rule: onePrinter,
    bad: [{ 'src/a.ts': 'process.exit(1);' }, { 'src/a.ts': "process.stdout.write('x');" }],
    good: {
      'src/a.ts': 'process.exitCode = 1; process.stderr.write("x");',
      'src/platform/printing.ts': 'process.exit(1);',
      'scripts/a.ts': 'process.exit(1);',
    },
  },
  {
    rule: peoplesUnits,
    bad: [{ 'src/a.ts': '`after ${timeoutMs} ms it waits`' }, { 'src/a.ts': '`in ${seconds} s`' }],
    good: { 'src/a.ts': '`after ${formatDuration(timeoutMs)} it waits`', 'scripts/a.ts': '`${x} ms`' },
  },
  {
    rule: noEntry,
    // Put together here, so that this file keeps the rule.
    bad: [{ 'src/a.ts': `statSync(path, { ${'throwIfNoEntry'}: false })` }],
    good: { 'src/a.ts': 'statIfThere(path)' },
  },
  {
    rule: nodeVersions,
    bad: [
      { ...supported, 'package.json': '{ "engines": { "node": ">=20" } }' },
      { ...supported, 'README.md': 'On Node.js 20 or 22.' },
      { ...supported, 'docs/admin/install.md': '' },
      { ...supported, 'src/protocol/check.ts': 'export const supportedNodes = [20];' },
    ],
    good: supported,
  },
  {
    rule: noRegistries,
    bad: [
      { 'package-lock.json': `"resolved": "${'https'}://x.y/z.tgz"` },
      { 'a.sh': `npm --registry=https://registry.${'example'}.net` },
      { 'a.md': `from ${'npmjs'}.com` },
      { 'a.sh': `deb http://deb.${'debian'}.org/debian` },
    ],
    good: { 'package-lock.json': '"integrity": "sha512-x"', 'a.md': 'from your npm registry' },
  },
  {
    rule: links,
    bad: [
      { 'docs/a.md': 'see [b](b.md)' },
      { 'README.md': '[x](docs/)' },
      { 'a.md': '[x](b.md#no)', 'b.md': '# yes' },
    ],
    good: {
      'docs/a.md': '[b](b.md), [up](../README.md), [there](https://x.y), [same](#x)\n```\n[no](link)\n```',
      'docs/b.md': '',
      'README.md': '[docs](docs/) [part](docs/c.md#two-words)',
      'docs/c.md': '## Two words',
    },
  },
  {
    rule: namedPaths,
    bad: [
      { 'README.md': 'in `src/none.ts`' },
      { 'ARCHITECTURE.md': '`test/none/`' },
      { 'README.md': '`NONE.md`' },
    ],
    good: { 'README.md': '`src/a.ts`, `src/`, `src/<name>/`, `wsp ls`', 'src/a.ts': '' },
  },
  {
    rule: decisions,
    bad: [
      { 'docs/decisions/0001-a.md': '# 1. A', 'docs/decisions/0003-c.md': '# 3. C' },
      { 'docs/decisions/0001-a.md': '# 1. A', 'docs/decisions/0001-b.md': '# 1. B' },
      { 'docs/decisions/0001-a.md': '# 2. A' },
    ],
    good: { 'docs/decisions/0001-a.md': '# 1. A', 'docs/decisions/0002-b.md': '# 2. B' },
  },
  {
    rule: contracts,
    bad: [
      { 'src/a.contract.ts': '' },
      { 'src/a.contract.ts': '', 'src/a.test.ts': "import { suite } from './a.contract.ts';" },
      { 'src/a.contract.ts': '', 'src/a.test.ts': "import { suite } from './b.contract.ts'; suite();" },
    ],
    good: {
      'src/a.contract.ts': '',
      'test/e2e/a.test.ts': "import { suite } from '../../src/a.contract.ts'; suite('x');",
    },
  },
];

const tree = (files: Readonly<Record<string, string>>): readonly TreeFile[] =>
  Object.entries(files).map(([path, text]) => ({ path, text }));
const whole = readTree();

it('sees the tree', () => {
  expect(whole.map(({ path }) => path)).toEqual(expect.arrayContaining(['README.md', 'src/lease/decide.ts']));
});

describe.each(rules)('$rule.name', ({ rule, bad, good }) => {
  it('holds', () => {
    expect(rule.check(whole)).toEqual([]);
  });

  it.each(bad)('is broken by example %#', files => {
    expect(rule.check(tree(files))).toHaveLength(1);
  });

  it('lets good ones pass', () => {
    expect(rule.check(tree(good))).toEqual([]);
  });
});
