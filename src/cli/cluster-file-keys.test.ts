import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ClusterFile } from '../client/cluster-file.ts';
import { commandLine } from './command-line.ts';

/** docs/cluster-files.md: what flags can say, a file can, or the page says why not. */

const page = readFileSync(new URL('../../docs/cluster-files.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| (`--[\w-]+`|\(no flag\)) \| (.*) \|$/gm)].map(
  ([, flag = '', cell = '']) => ({
    flag: flag.replaceAll('`', ''),
    isAbsent: /^not there: .{5}/.test(cell),
    keys: [...cell.matchAll(/`((?:groups\[\]\.)?[a-z][A-Za-z]*)`/g)].map(([, key = '']) => key),
  }),
);

describe('the keys of a cluster file', () => {
  it('are there for every flag of wsp create, or the page says why not', () => {
    const create = commandLine(() => Promise.resolve()).commands.find(command => command.name() === 'create');
    const flags = (create?.options ?? []).map(({ long }) => long ?? '');
    expect(
      rows
        .map(({ flag }) => flag)
        .filter(flag => flag.startsWith('--'))
        .sort(),
    ).toEqual(flags.sort());
    for (const { flag, isAbsent, keys } of rows) expect([flag, isAbsent]).toEqual([flag, keys.length === 0]);
  });

  it('are all in the table, and no others', () => {
    const { groups, ...own } = ClusterFile.properties;
    const ofGroups = Object.keys(groups.items.properties).map(key => `groups[].${key}`);
    expect(rows.flatMap(({ keys }) => keys).sort()).toEqual([...Object.keys(own), ...ofGroups].sort());
  });
});
