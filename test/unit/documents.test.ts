import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { parse } from 'yaml';
import { afterAll, describe, expect, it } from 'vitest';
import { commandLine } from '../../src/cli/command-line.ts';
import { cliSettings } from '../../src/cli/settings.ts';
import { readClusterFile } from '../../src/client/cluster-file.ts';
import { blocksOf, type Block, commandsIn } from '../documents/blocks.ts';
import { notRun } from '../documents/not-run.ts';
import { expectSiteFile } from '../documents/site-file.ts';
import { commands } from '../proofs/surface.ts';
import { readTree } from '../tidy/tree.ts';

/**
 * Every block of every document: site files are read by the service's own parser, cluster files and
 * settings by the client's, commands by the command line.
 */

const blocks = blocksOf(readTree());
const place = mkdtempSync(join(tmpdir(), 'wsp-documents-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const isListed = (block: Block): boolean =>
  notRun.some(({ page, first }) => page === block.page && block.first.startsWith(first));
const ofKind = (kind: string): readonly (readonly [string, Block])[] =>
  blocks.filter(block => block.kind === kind).map(block => [`${block.page}: ${block.first}`, block] as const);

/**
 * Kinds that are read or run by name; the two guides' command blocks and the units have tests of
 * their own.
 */
const readers: Readonly<Record<string, (text: string) => void>> = {
  'yaml site': expectSiteFile,
  'yaml site part': text => expectSiteFile(JSON.stringify(merged(example(), parse(text) as Section))),
  'yaml cluster.yaml': text => void readClusterFile(write('cluster.yaml', text), 0),
  'yaml client': text => {
    writeFileSync(join(place, 'token'), 'a-token-of-ann', { mode: 0o600 });
    expect(cliSettings({ WSP_CONFIG: write('config.yaml', text), HOME: place }).token).toBe('a-token-of-ann');
  },
};
const elsewhere: Readonly<Record<string, readonly string[]>> = {
  sh: ['docs/user-guide.md', 'docs/admin/operating.md'],
  ini: ['docs/admin/install.md', 'docs/admin/static-nodes.md'],
};

type Section = Readonly<Record<string, unknown>>;

function write(name: string, text: string): string {
  const path = join(place, name);
  writeFileSync(path, text);
  return path;
}

/** The first site file of the installation page. */
function example(): Section {
  const [first] = blocks.filter(({ page, kind }) => page === 'docs/admin/install.md' && kind === 'yaml site');
  return parse(first?.text ?? '') as Section;
}

/** What an administrator writes into a section that is there. */
function merged(site: Section, part: Section): Section {
  const sections = Object.entries(part).map(([key, value]) => [
    key,
    isSection(value) && isSection(site[key]) && !('kind' in value) ? { ...site[key], ...value } : value,
  ]);
  return { ...site, ...(Object.fromEntries(sections) as Section) };
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const onNodes = new Set(['agent', 'helper', 'kill-all', 'pilot']);

/** As the command line takes them; nothing is carried out. */
async function expectCommand(words: readonly string[]): Promise<void> {
  const [command = ''] = words;
  if (onNodes.has(command)) {
    const known = commands();
    const flags = words.filter(word => word.startsWith('--')).map(flag => `wsp ${command} ${flag}`);
    expect(known).toEqual(expect.arrayContaining([`wsp ${command}`, ...flags]));
    return;
  }
  await commandLine(() => Promise.resolve())
    .parseAsync([...words], { from: 'user' })
    .catch((cause: unknown) => {
      // `wsp --version` ends by itself.
      if (!(cause instanceof CommanderError && cause.exitCode === 0)) throw cause;
    });
}

describe('every block of the documents', () => {
  it('is read or run by a test, or test/documents/not-run.ts says why not', () => {
    const known = ({ page, kind, text }: Block): boolean =>
      kind in readers ||
      (elsewhere[kind]?.includes(page) ?? false) ||
      (kind === '' && commandsIn(text).length > 0);
    const unknown = blocks.filter(block => !known(block) && !isListed(block));
    expect(unknown.map(({ page, kind, first }) => `${page}: [${kind}] ${first}`)).toEqual([]);
  });

  it('is there, if test/documents/not-run.ts says that it is not run', () => {
    const there = ({ page, first }: { page: string; first: string }): boolean =>
      blocks.some(block => block.page === page && block.first.startsWith(first));
    expect(notRun.filter(listed => !there(listed))).toEqual([]);
  });
});

for (const [kind, read] of Object.entries(readers))
  describe(`a block of ${kind}`, () => {
    it.each(ofKind(kind))('is accepted: %s', (_name, { text }) => read(text));

    it('is refused when it is wrong', () => {
      expect(() => read('money: 3\n')).toThrow(/money|not known|invalid|mistake/i);
    });
  });

describe('a command', () => {
  const lines = blocks
    .filter(block => !isListed(block))
    .flatMap(({ page, text }) => commandsIn(text).map(words => [page, words.join(' '), words] as const));

  it.each(lines)('%s: wsp %s', async (_page, _line, words) => {
    await expectCommand(words);
  });

  /** In running text a command may be named without its arguments, and with an alternative. */
  const named = readTree()
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) =>
      [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`wsp ([a-z][^`\n]*)`/g)].map(
        ([, rest = '']) => [path, rest] as const,
      ),
    );

  it.each(named)('is one, with flags that it has: %s: wsp %s', (_path, rest) => {
    const known = new Set(commands());
    const [first = '', second = ''] = rest.split(/\s+/);
    const command =
      known.has(`wsp ${first} ${second}`) && !second.startsWith('-') ? `${first} ${second}` : first;
    expect(known).toContain(`wsp ${command}`);
    const own = rest.split(' -- ')[0] ?? '';
    for (const [flag] of own.matchAll(/(?<=[\s[])--[a-z][\w-]*/g))
      if (!['--json', '--help'].includes(flag)) expect(known).toContain(`wsp ${command} ${flag}`);
  });

  it.each([[['creat']], [['create', '--colour', 'red']], [['show']], [['agent', '--colour']]])(
    'is refused when it is none: %j',
    async words => {
      await expect(expectCommand(words)).rejects.toThrow(/unknown|missing|expected/);
    },
  );
});
