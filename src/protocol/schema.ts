import Type, { type TSchema } from 'typebox';
import { namePattern } from './ids.ts';
import { latestMoment } from './units.ts';
import { highestProtocol } from './versions.ts';

/** A union of string literals, from an `as const` list of words. */
export function literals<const T extends readonly string[]>(values: T) {
  return Type.Unsafe<T[number]>(Type.Union(values.map(value => Type.Literal(value))));
}

/** What is described, or null. */
export function orNull<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()]);
}

/** Of `Type.Object`: a key that is not there is a mistake. */
export const strict = { additionalProperties: false } as const;

export const Text = Type.String();
export const MaybeText = orNull(Text);
/** In answers: ISO 8601 in UTC with milliseconds. */
export const Time = Type.String({ format: 'date-time' });
export const MaybeTime = orNull(Time);
/** Of workspaces, groups, projects and all else that the site's people name. */
export const Name = Type.String({
  pattern: namePattern,
  description: 'a name: lower-case letters, digits and hyphens, starting with a letter, at most 31',
});

/** Milliseconds since the epoch, in messages: of a year that has four digits. */
export const MomentMs = Type.Integer({ minimum: 0, maximum: latestMoment });
/** In greetings: the number of the protocol that an end speaks (`versions.ts`). */
export const Protocol = Type.Optional(Type.Integer({ minimum: 1, maximum: highestProtocol }));
/** A number of anything: one that is exact. */
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Durations and sizes in documents that people write; `units.ts` reads them. */
export const DurationText = Type.String({
  pattern: '^([0-9]+(ms|s|m|h|d))+$',
  description: 'a duration such as 90s or 1h30m',
});
/** A path in a document: nobody but a shell knows whose home `~` is. */
export const PathText = Type.String({
  minLength: 1,
  pattern: '^[^~\\0][^\\0]*$',
  description: 'a path that does not begin with ~, which only a shell replaces: write the whole path',
});
export const MemoryText = Type.String({
  pattern: '^[0-9]+[MGT](iB|B)?$',
  description: 'a size such as 256M or 4G',
});
