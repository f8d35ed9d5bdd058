import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { commandLine } from '../../src/cli/command-line.ts';
import { SiteFile } from '../../src/service/config/site-file.ts';

/**
 * Everything that people can write to the product: the keys of a site file, the commands with their
 * flags, the routes of the API. Each from what the product itself reads.
 */

interface Rules {
  readonly properties?: Readonly<Record<string, Rules>>;
  readonly items?: Rules;
  readonly anyOf?: readonly Rules[];
  readonly const?: unknown;
}

/**
 * Paths of all keys, as `networks[].link.uplink`; where a `kind` decides which keys there are, with
 * it: `lrm[slurm].queue`.
 */
export function siteKeys(): readonly string[] {
  const keys = keysOf(SiteFile as Rules, '')
    // What may be in a pool's `lrm`, `policy` and `node` is what may be in the site's.
    .map(key => key.replace(/^(pools\[\]\.(lrm|policy|node))[[.].*$/, '$1'));
  return [...new Set(keys)];
}

function keysOf(rules: Rules, path: string): readonly string[] {
  const { properties, items, anyOf } = rules;
  if (anyOf?.some(branch => branch.properties))
    return anyOf.flatMap(branch => (branch.properties ? keysOf(branch, path + kindOf(branch)) : [path]));
  if (items?.properties || items?.anyOf?.some(branch => branch.properties)) return keysOf(items, `${path}[]`);
  if (!properties) return [path];
  return Object.entries(properties).flatMap(([key, value]) =>
    keysOf(value, path === '' ? key : `${path}.${key}`),
  );
}

function kindOf({ properties }: Rules): string {
  const kind = properties?.['kind']?.const;
  return typeof kind === 'string' ? `[${kind}]` : '';
}

/**
 * `wsp create`, `wsp create --name`, …; then those of the commands on nodes, as docs/cli.md has
 * them.
 */
export function commands(): readonly string[] {
  const program = commandLine(() => Promise.resolve());
  const all = program.commands.flatMap(command => [command, ...command.commands]);
  return [...all.flatMap(command => flagsOf(command, program)), ...nodeCommands()];
}

function flagsOf(command: Command, program: Command): readonly string[] {
  const parents = command.parent === null || command.parent === program ? [] : [command.parent.name()];
  const name = ['wsp', ...parents, command.name()].join(' ');
  // Every command has --json.
  const flags = command.options.map(option => option.long ?? '').filter(flag => flag !== '--json');
  return [name, ...flags.map(flag => `${name} ${flag}`)];
}

function nodeCommands(): readonly string[] {
  const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const section = /\n## On nodes\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
  return [...section.matchAll(/^\| `(wsp \S+)(.*?)` \|/gm)].flatMap(([, name = '', rest = '']) => [
    name,
    ...[...rest.matchAll(/--[\w-]+/g)].map(([flag]) => `${name} ${flag}`),
  ]);
}

/** `GET /v1/health`, … */
export function routes(): readonly string[] {
  const document = JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
}
