import Type from 'typebox';

/** A union of string literals, from an `as const` list of words. */
export function literals<const T extends readonly string[]>(values: T) {
  return Type.Union(
    values.map(value => Type.Literal(value)) as unknown as {
      -readonly [K in keyof T]: Type.TLiteral<T[K] & string>;
    },
  );
}
