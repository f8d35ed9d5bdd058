import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { isMap, LineCounter, parseDocument } from 'yaml';
import { type ErrorDetail, WspError } from './errors.ts';

/**
 * Documents that people write (cluster files, site files, request bodies): read, and checked against a schema so that all mistakes are
 * told at once, each with its path and in words. A schema library's own messages are for programs: for a union they speak of every
 * branch, not of the one that was meant.
 */

/** The value of a YAML text, a mapping at its top. Throws `WspError` (`invalid_file`) with line and column of each syntax error. */
export function parseYaml(text: string, file: string): Readonly<Record<string, unknown>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const details = [...document.errors, ...document.warnings].map(error => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { path: `line ${line}, column ${col}`, message: error.message };
  });
  if (details.length === 0 && !isMap(document.contents))
    details.push({ path: 'line 1, column 1', message: 'must be a mapping (key: value)' });
  if (details.length > 0) throw invalidFile(file, details);
  // An alias that is used very often makes a small file large: the library stops that, by throwing.
  try {
    return document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>;
  } catch (cause) {
    throw invalidFile(file, [{ path: '', message: (cause as Error).message }]);
  }
}

/** One error for all mistakes of a file. */
export function invalidFile(file: string, details: readonly ErrorDetail[]): WspError {
  return new WspError('invalid_file', `${file}: ${summary(details)}`, { details });
}

/** The value as the schema's type, with its defaults filled in. Throws `WspError` (`invalid_request`) with all mistakes. */
export function checkedRequest<Schema extends TSchema>(schema: Schema, value: unknown): Static<Schema> {
  const whole = Value.Default(schema, Value.Clone(value));
  const details = mistakesIn(schema, whole);
  if (details.length === 0) return whole as Static<Schema>;
  throw invalidRequest(details);
}

/** One error for all mistakes of a request. */
export function invalidRequest(details: readonly ErrorDetail[]): WspError {
  return new WspError('invalid_request', summary(details), { details });
}

function summary(details: readonly ErrorDetail[]): string {
  const [first] = details;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return [first?.path, first?.message].filter(Boolean).join(': ') + more;
}

/** What of JSON Schema the project's schemas use. */
interface Rules {
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly Rules[];
  readonly properties?: Readonly<Record<string, Rules>>;
  readonly required?: readonly string[];
  readonly items?: Rules;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly additionalProperties?: boolean;
  readonly description?: string;
}

/** All mistakes, in the document's order. An empty list: the value has the schema's shape. */
export function mistakesIn(schema: TSchema, value: unknown): readonly ErrorDetail[] {
  const mistakes = first(mostMistakes, walk(schema, value, ''));
  // The library has the last word: what this walk does not know must still not pass.
  if (mistakes.length === 0 && !Value.Check(schema, value))
    return Value.Errors(schema, value).map(({ instancePath, message }) => ({ path: instancePath, message }));
  return mistakes;
}

/** More than anybody reads; a document of nothing but mistakes has one for each of its values. */
const mostMistakes = 100;

function first<Each>(most: number, all: Iterable<Each>): Each[] {
  const found: Each[] = [];
  for (const each of all) {
    found.push(each);
    if (found.length === most) break;
  }
  return found;
}

function* walk(rules: Rules, value: unknown, path: string): Generator<ErrorDetail> {
  if (rules.anyOf) yield* walkUnion(rules.anyOf, value, path);
  else if (rules.type === 'object') yield* walkObject(rules, value, path);
  else if (rules.type === 'array') yield* walkArray(rules, value, path);
  else yield* leaf(rules, value, path);
}

function* walkObject(rules: Rules, value: unknown, path: string): Generator<ErrorDetail> {
  if (!isObject(value)) return yield { path, message: `must be a mapping${butIs(value)}` };
  const { properties = {}, required = [] } = rules;
  for (const [key, member] of Object.entries(value)) {
    const known = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (known) yield* walk(known, member, join(path, key));
    else if (rules.additionalProperties === false)
      yield {
        path: join(path, key),
        message: `is not known here; known: ${Object.keys(properties).join(', ')}`,
      };
  }
  for (const key of required)
    if (!Object.hasOwn(value, key)) yield { path: join(path, key), message: 'is missing' };
}

function* walkArray(rules: Rules, value: unknown, path: string): Generator<ErrorDetail> {
  if (!Array.isArray(value)) return yield { path, message: `must be a list${butIs(value)}` };
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items = {} } = rules;
  if (value.length < minItems) yield { path, message: `must have at least ${minItems} entries` };
  // A list that is too long is not looked into: its mistakes would be too many to read.
  if (value.length > maxItems) return yield { path, message: `must have at most ${maxItems} entries` };
  for (const [index, item] of value.entries()) yield* walk(items, item, `${path}[${index}]`);
  if (rules.uniqueItems === true && new Set(value.map(item => JSON.stringify(item))).size < value.length)
    yield { path, message: 'has the same entry twice' };
}

/** The branch that was meant: by its `kind`, else by the keys that it has. */
function* walkUnion(branches: readonly Rules[], value: unknown, path: string): Generator<ErrorDetail> {
  if (branches.some(branch => Value.Check(branch as TSchema, value))) return;
  const objects = branches.filter(branch => branch.type === 'object');
  const kinds = objects.map(branch => branch.properties?.['kind']?.const).filter(kind => kind !== undefined);
  if (isObject(value) && objects.length > 0) {
    if (kinds.length === objects.length) {
      const meant = objects.find(branch => branch.properties?.['kind']?.const === value['kind']);
      if (meant) return yield* walk(meant, value, path);
      // Which keys belong here depends on the kind; until it is known, nothing more can be said.
      const message =
        'kind' in value ? `must be one of ${kinds.join(', ')}` : `is missing: one of ${kinds.join(', ')}`;
      return yield { path: join(path, 'kind'), message };
    }
    const meant = objects.find(branch => Object.keys(branch.properties ?? {}).some(key => key in value));
    if (meant) return yield* walk(meant, value, path);
  }
  // The only one of its type is the one that was meant.
  const ofType = branches.filter(branch => branch.type === typeof value);
  const [meant] = ofType;
  if (meant && ofType.length === 1 && !('const' in meant)) return yield* walk(meant, value, path);
  const choices = branches.map(branch => ('const' in branch ? String(branch.const) : shapeOf(branch)));
  yield { path, message: `must be one of ${choices.join(', ')}${butIs(value)}` };
}

/** A leaf's `description` completes "must be …"; else the library's words do. */
function* leaf(rules: Rules, value: unknown, path: string): Generator<ErrorDetail> {
  const [error] = Value.Errors(rules as TSchema, value);
  if (!error) return;
  const words = 'const' in rules ? String(rules.const) : rules.description;
  yield { path, message: `${words === undefined ? error.message : `must be ${words}`}${butIs(value)}` };
}

function shapeOf(rules: Rules): string {
  return rules.type === 'object'
    ? `{${Object.keys(rules.properties ?? {}).join(', ')}}`
    : (rules.type ?? 'something');
}

/** What stands there instead, when it is short. */
function butIs(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 60 ? ` (it is ${text})` : '';
}

function join(path: string, key: string): string {
  const step = /^[A-Za-z_][\w-]*$/.test(key) ? key : JSON.stringify(key.slice(0, 60));
  return path === '' ? step : `${path}.${step}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
