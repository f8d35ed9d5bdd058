import { SiteFile } from '../../src/service/config/site-file.ts';

/** A key of the site file, as the table in docs/admin/install.md has it. */
export interface SiteKey {
  /** Its path, such as `networks[].link.uplink`. */
  readonly key: string;
  /** What may be written, in words for people. */
  readonly type: string;
  /** It has to be there where its section is. */
  readonly isRequired: boolean;
}

/** What of a JSON schema is looked at here. */
interface Rules {
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Rules>>;
  readonly items?: Rules;
  readonly anyOf?: readonly Rules[];
}

/** Explained once, as the sections of the only pool. */
const sections = /^(pools\[\]\.(?:lrm|policy|node))[.[].*$/;

/** Every key of the site file. A key that several kinds of a section have is there once. */
export function siteKeys(): readonly SiteKey[] {
  const byKey = new Map<string, SiteKey>();
  const schema: unknown = SiteFile;
  for (const found of keysOf(schema as Rules, '', true)) {
    const key = found.key.replace(sections, '$1');
    const before = byKey.get(key);
    if (key !== found.key) byKey.set(key, { key, type: 'a section', isRequired: key === 'pools[].lrm' });
    else if (before === undefined) byKey.set(key, found);
    else byKey.set(key, both(before, found));
  }
  // The branch without keys of its own: `link: isolated`.
  byKey.delete('networks[].link');
  return [...byKey.values()];
}

function both(one: SiteKey, other: SiteKey): SiteKey {
  const type = one.type.includes(other.type) ? one.type : `${one.type}, ${other.type}`;
  return { key: one.key, type, isRequired: one.isRequired && other.isRequired };
}

function keysOf(rules: Rules, path: string, isRequired: boolean): readonly SiteKey[] {
  const { properties, items, anyOf, required = [] } = rules;
  if (anyOf?.some(branch => branch.properties))
    return anyOf.flatMap(branch => keysOf(branch, path, isRequired));
  if (items?.properties || items?.anyOf?.some(branch => branch.properties))
    return keysOf(items, `${path}[]`, isRequired);
  if (!properties) return [{ key: path, type: typeOf(rules), isRequired }];
  return Object.entries(properties).flatMap(([key, value]) =>
    keysOf(value, path === '' ? key : `${path}.${key}`, required.includes(key)),
  );
}

function typeOf({ type, description, anyOf, items, minimum, maximum, ...rules }: Rules): string {
  if (rules.const !== undefined) return `\`${String(rules.const)}\``;
  if (anyOf !== undefined) return anyOf.map(typeOf).join(', ');
  if (items !== undefined) return `a list, each ${typeOf(items)}`;
  if (type === 'boolean') return '`true`, `false`';
  if (type === 'integer' || type === 'number') {
    const what = type === 'integer' ? 'a whole number' : 'a number';
    if (minimum === undefined) return what;
    return maximum === undefined ? `${what}, ${minimum} or more` : `${what} from ${minimum} to ${maximum}`;
  }
  return description?.replace(/(,? such as |,? on one line|, which |: | that ).*$/, '') ?? 'a text';
}
