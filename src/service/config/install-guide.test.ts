import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { expectSiteFile } from '../../../test/documents/site-file.ts';
import { siteKeys } from '../../../test/documents/site-keys.ts';
import { examineSite } from './site.ts';

/**
 * docs/admin/install.md, gridengine.md, pbs.md, static-nodes.md and transports.md: their site files
 * are read by the service's own parser; the table of keys has its types from the schema, and its
 * defaults are what the parser takes for a key that is not there.
 */

const place = mkdtempSync(join(tmpdir(), 'wsp-install-guide-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const page = readFileSync(new URL('../../../docs/admin/install.md', import.meta.url), 'utf8');
const staticNodes = readFileSync(new URL('../../../docs/admin/static-nodes.md', import.meta.url), 'utf8');
const gridEngine = readFileSync(new URL('../../../docs/admin/gridengine.md', import.meta.url), 'utf8');
const pbs = readFileSync(new URL('../../../docs/admin/pbs.md', import.meta.url), 'utf8');
const transports = readFileSync(new URL('../../../docs/admin/transports.md', import.meta.url), 'utf8');
const siteFiles = [
  ...`${page}\n${staticNodes}\n${gridEngine}\n${pbs}\n${transports}`.matchAll(
    /^```yaml site\n([\s\S]*?)^```$/gm,
  ),
].map(([, text = '']) => text);

/** The rows of the table of keys. */
const rows = [...page.matchAll(/^\| `([\w.[\]]+)` \| (.*?) \| (.*?) \| (.*) \|$/gm)].map(
  ([, key = '', type = '', ordinary = '', meaning = '']) => ({ key, type, ordinary, meaning }),
);

describe('docs/admin/install.md', () => {
  it('has site files', () => {
    expect(siteFiles.length).toBeGreaterThan(1);
  });

  it.each(siteFiles)('has a site file that the service accepts: %#', text => {
    expectSiteFile(text);
  });

  it('explains every key, and no other', () => {
    const explained = [...page.matchAll(/^\| `([\w.[\]]+)` \|/gm)].map(([, key]) => key);
    const keys = siteKeys().map(({ key }) => key);
    expect(new Set(explained)).toEqual(new Set(keys));
    expect(explained).toHaveLength(keys.length);
    expect(rows).toHaveLength(explained.length);
  });

  it.each(siteKeys().map(each => [each.key, each] as const))(
    'has the type of %s from the schema, and whether it must be given',
    (key, { type, isRequired }) => {
      const row = rows.find(each => each.key === key);
      expect(row?.type).toBe(type);
      expect(row?.ordinary === 'must be given').toBe(isRequired);
      expect(row?.ordinary).not.toBe('');
      expect(row?.meaning).toMatch(/^\S.*\.$/);
    },
  );

  const literal = rows.flatMap(({ key, ordinary }) => {
    const [, value] = /^`([^`]+)`$/.exec(ordinary) ?? [];
    return value === undefined ? [] : [[key, value] as const];
  });
  it('has defaults that can be written into a site file', () => {
    expect(literal.length).toBeGreaterThan(30);
  });

  it.each(literal)(
    'has the true default of %s: the service reads a file with %s as one without',
    (key, value) => {
      const read = sites().flatMap(site =>
        placesOf(site, key.split('.')).flatMap(([section, name]) => {
          delete section[name];
          const without = configOf(site);
          section[name] = parse(value);
          const written = configOf(site);
          delete section[name];
          return written === undefined ? [] : [{ without, written }];
        }),
      );
      expect(read).not.toEqual([]);
      for (const { without, written } of read) expect(written).toEqual(without);
    },
  );

  it('has a unit that runs the service with the site file of this page', () => {
    const unit = /```ini\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    expect(unit).toMatch(/^ExecStart=\/\S+\/bin\/wsp service --config \/etc\/workspace-pilot\/site\.yaml$/m);
    expectUnit(unit);
  });

  it('has a unit for agents', () => {
    const unit = /```ini\n([\s\S]*?)```/.exec(staticNodes)?.[1] ?? '';
    expect(unit).toMatch(/^ExecStart=\/\S+\/bin\/wsp agent --service \S+ --pool static --secret-file \S+$/m);
    expectUnit(unit);
  });
});

type Section = Record<string, unknown>;

/** Site files in which, between them, every key with a default may be written. */
function sites(): readonly Section[] {
  const example = (): Section => parse(siteFiles[0] ?? '') as Section;
  const local = readFileSync(new URL('../../../examples/site-local.yaml', import.meta.url), 'utf8');
  const policies = [{ kind: 'pack' }, { kind: 'reuse' }, { kind: 'warm', memoryPerNode: '1G' }];
  return [
    ...[...siteFiles, local].map(text => parse(text) as Section),
    ...policies.map(policy => ({ ...example(), policy })),
    { ...example(), lrm: { kind: 'static', joinSecretFile: 'join-secret' } },
  ];
}

/** Where a key may be written. Sections that are not there are made, but for those of a list's entries. */
function placesOf(
  section: Section,
  [first = '', ...rest]: readonly string[],
  isEntry = false,
): [Section, string][] {
  if (rest.length === 0) return [[section, first]];
  const name = first.replace('[]', '');
  if (first !== name) {
    const entries = section[name] as Section[] | undefined;
    return (entries ?? []).flatMap(entry => placesOf(entry, rest, true));
  }
  if (!isEntry) section[name] ??= {};
  const inner = section[name];
  return typeof inner === 'object' ? placesOf(inner as Section, rest, isEntry) : [];
}

/** What the service reads of a site file; undefined: it may not be written so. */
function configOf(site: Section): unknown {
  const file = join(place, 'site.yaml');
  writeFileSync(file, JSON.stringify(site));
  return examineSite(file).config;
}

/** Every line is a section, a comment or a setting. */
function expectUnit(unit: string): void {
  for (const line of unit.trim().split('\n')) expect(line).toMatch(/^(\[\w+\]|#.*|[A-Z]\w+=\S.*|)$/);
}
