import Type from 'typebox';

/** A union of string literals, from an `as const` list of words. */
export function literals<const T extends readonly string[]>(values: T) {
  return Type.Unsafe<T[number]>(Type.Union(values.map(value => Type.Literal(value))));
}
