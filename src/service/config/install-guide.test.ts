import { readFileSync } from 'node:fs';
import type { TSchema } from 'typebox';
import { describe, expect, it } from 'vitest';
import { expectSiteFile } from '../../../test/documents/site-file.ts';
import { SiteFile } from './site-file.ts';

/** docs/admin/install.md, gridengine.md, pbs.md, static-nodes.md and transports.md: their site files are read by the service's own parser, the table of keys is the schema's. */

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

interface Rules {
  readonly properties?: Readonly<Record<string, Rules>>;
  readonly items?: Rules;
  readonly anyOf?: readonly Rules[];
}

/** Paths of all keys that a file may have, as `networks[].link.uplink`. */
function keysOf(schema: TSchema | Rules, path = ''): readonly string[] {
  const { properties, items, anyOf } = schema as Rules;
  if (anyOf?.some(branch => branch.properties)) return anyOf.flatMap(branch => keysOf(branch, path));
  if (items?.properties || items?.anyOf?.some(branch => branch.properties)) return keysOf(items, `${path}[]`);
  if (!properties) return [path];
  return Object.entries(properties).flatMap(([key, rules]) =>
    keysOf(rules, path === '' ? key : `${path}.${key}`),
  );
}

describe('docs/admin/install.md', () => {
  it('has site files', () => {
    expect(siteFiles.length).toBeGreaterThan(1);
  });

  it.each(siteFiles)('has a site file that the service accepts: %#', text => {
    expectSiteFile(text);
  });

  it('explains every key, and no other', () => {
    const explained = [...page.matchAll(/^\| `([\w.[\]]+)` \|/gm)].map(([, key]) => key);
    // The branch without keys of its own: `link: isolated`.
    const keys = new Set(
      keysOf(SiteFile)
        .filter(key => key !== 'networks[].link')
        // Explained once, as keys of the only pool.
        .map(key => key.replace(/^(pools\[\]\.(lrm|policy|node))\..*$/, '$1')),
    );
    expect(new Set(explained)).toEqual(keys);
    expect(explained).toHaveLength(keys.size);
  });

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

/** Every line is a section, a comment or a setting. */
function expectUnit(unit: string): void {
  for (const line of unit.trim().split('\n')) expect(line).toMatch(/^(\[\w+\]|#.*|[A-Z]\w+=\S.*|)$/);
}
