import { WspError } from '../../protocol/errors.ts';

const typeOf = { text: 'string', number: 'number', flag: 'boolean' } as const;
/** What a field must be; `?`: or null. */
type Plain = `${keyof typeof typeOf | 'object'}${'' | '?'}`;

/** One of these words; a list, each entry of which is such; an object with these fields. */
type Kind =
  | Plain
  | { readonly oneOf: readonly (string | null)[] }
  | { readonly each: Kind }
  | { readonly with: AnyFields };
type AnyFields = Readonly<Record<string, Kind>>;

/** What each field of a document must be. */
export type Fields<Entity> = Readonly<Record<keyof Entity, Kind>>;

/** A document that this program cannot work with. It stops the start. */
export function unreadable(what: string, id: string | number, why: string): WspError {
  return new WspError(
    'failed',
    `the service's database has a document that cannot be read: ${what} ${id}: ${why}`,
    {
      hint: 'start the program that wrote it, or restore a backup of the database (docs/admin/operating.md)',
    },
  );
}

/** The value with these fields. Throws `WspError` (`failed`) that names the first wrong one. */
export function documentOf<Entity>(
  what: string,
  id: string,
  value: unknown,
  fields: Partial<Fields<Entity>>,
): Entity {
  if (!isObject(value)) throw unreadable(what, id, 'it is not an object');
  const wrong = fieldsMistake(value, fields as AnyFields, '');
  if (wrong !== undefined) throw unreadable(what, id, wrong);
  return value as Entity;
}

type Mistake = string | undefined;

function fieldsMistake(value: Readonly<Record<string, unknown>>, fields: AnyFields, above: string): Mistake {
  return firstOf(Object.entries(fields).map(([field, kind]) => mistake(value[field], kind, above + field)));
}

function mistake(value: unknown, kind: Kind, field: string): Mistake {
  if (typeof kind === 'string') return isPlain(value, kind) ? undefined : `its field ${field} is not ${kind}`;
  if ('oneOf' in kind)
    return kind.oneOf.includes(value as string | null)
      ? undefined
      : `its field ${field} is none that this program knows: ${value === undefined ? 'it is missing' : JSON.stringify(value)}`;
  if ('with' in kind)
    return isObject(value)
      ? fieldsMistake(value, kind.with, `${field}.`)
      : `its field ${field} is not object`;
  if (!Array.isArray(value)) return `its field ${field} is not list`;
  return firstOf(value.map((entry, index) => mistake(entry, kind.each, `${field}[${index}]`)));
}

const firstOf = (mistakes: readonly Mistake[]): Mistake => mistakes.find(each => each !== undefined);

function isPlain(value: unknown, kind: Plain): boolean {
  if (value === null) return kind.endsWith('?');
  const word = kind.replace('?', '');
  return word === 'object' ? isObject(value) : typeof value === typeOf[word as keyof typeof typeOf];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
