import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { TSchema } from 'typebox';
import { describe, expect, it } from 'vitest';
import * as access from '../protocol/access.ts';
import * as views from '../protocol/api.ts';
import { errorCodes } from '../protocol/errors.ts';
import { commandLine } from './command-line.ts';
import { optionDescription } from './command.ts';

/** docs/cli.md against the program: what one has and the other has not is an error of this page. */

const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
const program = commandLine(() => Promise.resolve());
const visible = program.commands
  .filter(command => !(command as Command & { _hidden?: boolean })._hidden)
  .flatMap(command => [command, ...command.commands]);

/** The text under a heading, down to the next one of its level or above. */
function section(heading: string): string {
  const level = heading.indexOf(' ');
  const start = page.indexOf(`\n${heading}\n`);
  if (start < 0) return '';
  const rest = page.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end < 0 ? rest : rest.slice(0, end);
}

/** What stands in the first column of a section's tables, in backticks. */
function firstColumn(text: string): readonly string[] {
  return [...text.matchAll(/^\| (`[^|]*`) \|/gm)].map(([, cell = '']) => cell.replaceAll('`', ''));
}

function synopsis(command: Command): string {
  const words = command.registeredArguments.map(argument => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const parent = command.parent === program || !command.parent ? [] : [command.parent.name()];
  return ['wsp', ...parent, command.name(), ...words].join(' ');
}

describe('docs/cli.md', () => {
  it('has a section for each command, with its arguments, and for no other', () => {
    const headings = [...section('## Commands').matchAll(/^### `(.*)`$/gm)].map(([, heading]) => heading);
    expect(new Set(headings)).toEqual(new Set(visible.map(synopsis)));
    expect(headings).toHaveLength(visible.length);
  });

  it.each(visible.map(command => [synopsis(command), command] as const))(
    'has the flags of %s',
    (_name, command) => {
      const flags = command.options.map(option => option.flags).filter(flag => flag !== '--json');
      expect(firstColumn(section(`### \`${synopsis(command)}\``))).toEqual(flags);
    },
  );

  it.each(visible.map(command => [synopsis(command), command] as const))(
    'says of %s what --help says, in the same words, and more if it likes',
    (_name, command) => {
      const text = section(`### \`${synopsis(command)}\``).replaceAll('`', '');
      expect(text.slice(0, command.description().length)).toBe(command.description());
    },
  );

  it.each(visible.flatMap(command => command.options.map(option => [command, option] as const)))(
    'says of a flag what --help says, with its choices and its default: %#',
    (command, option) => {
      if (option.long === '--json') return;
      const rows = section(`### \`${synopsis(command)}\``).replaceAll('`', '');
      expect(rows).toContain(`| ${option.flags} | ${optionDescription(option)}`);
      expect(optionDescription(option)).toContain(
        typeof option.defaultValue === 'string' ? `default: ${option.defaultValue})` : '',
      );
    },
  );

  it('gives each error its exit code', () => {
    const documented = [...section('## Exit codes').matchAll(/^\| (\d) \|[^|]*\|(.*)\|$/gm)].flatMap(
      ([, exit, codes = '']) => [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => [code, Number(exit)]),
    );
    const real = Object.entries(errorCodes).map(([code, { exit }]) => [code, exit]);
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(real));
    expect(documented).toHaveLength(real.length);
  });

  it.each([
    ['Workspace', views.WorkspaceView],
    ['Types', views.TypesView],
    ['DryRun', views.DryRunView],
    ['VM', views.VmView],
    ['Event', views.EventView],
    ['Timeline', views.TimelineView],
    ['Slot', views.SlotView],
    ['Node', views.NodeView],
    ['Image', views.ImageView],
    ['User', access.UserView],
    ['Quota', access.QuotaView],
    ['Token', access.TokenView],
    ['Webhook', access.WebhookView],
    ['Usage line', access.UsageLine],
    ['Audit entry', access.AuditView],
  ])('has every key of %s', (name, schema) => {
    const { properties } = schema as TSchema & { properties: Record<string, unknown> };
    expect(firstColumn(section(`### ${name}`))).toEqual(Object.keys(properties));
  });

  it('has every environment variable that is read', () => {
    const sources = ['src/cli', 'src/service', 'src/client'].flatMap(folder =>
      readdirSync(new URL(`../../${folder}`, import.meta.url), { recursive: true, encoding: 'utf8' })
        .filter(path => path.endsWith('.ts') && !path.endsWith('.test.ts'))
        .map(path => readFileSync(join(new URL('../..', import.meta.url).pathname, folder, path), 'utf8')),
    );
    const read = sources.flatMap(text =>
      [...text.matchAll(/env\['(WSP_\w+)'\]/g)].map(([, name]) => name ?? ''),
    );
    expect(new Set(page.match(/\bWSP_[A-Z_]+\b/g))).toEqual(new Set(read));
  });
});
