import type { FastifyInstance } from 'fastify';
import Type, { type Static, type TProperties } from 'typebox';
import { invalidRequest } from '../../protocol/document.ts';
import type { WspError } from '../../protocol/errors.ts';

/**
 * Lists in pages. A list has an order, by a key that each of its entries has for itself; a cursor
 * is the key of the last entry that the client has got. So entries may come and go
 * between two pages: those that stay come once each.
 */

/** The most entries of one answer, and how many one has when the client does not say. */
export const mostEntries = 1_000;

const pageProperties = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: mostEntries,
      description: `a number of entries from 1 to ${mostEntries}, which is also the default`,
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{1,400}$',
      description: 'the next of the page before; without it, the first page',
    }),
  ),
};
type Page = Static<ReturnType<typeof Type.Object<typeof pageProperties>>>;

/** The query of a list: a page, and what the list can be filtered by. */
export function listQuery<Filters extends TProperties>(filters: Filters) {
  return Type.Object({ ...pageProperties, ...filters });
}

/** Beside the entries of a page: the cursor of the next one. */
export const Next = Type.Union([Type.String(), Type.Null()], {
  description: 'ask again with cursor=next; null: this was the last page',
});

/**
 * The page of a list, whose entries may be in any order. `keyOf`: what they are ordered by; no two
 * have the same. Throws `WspError` (`invalid_request`) for a cursor that is none.
 */
export function pageOf<Entry>(
  entries: Iterable<Entry>,
  keyOf: (entry: Entry) => string,
  { limit = mostEntries, cursor }: Page,
): { readonly page: Entry[]; readonly next: string | null } {
  const after = cursor === undefined ? '' : keyIn(cursor);
  const rest = [...entries]
    .map(entry => ({ entry, key: keyOf(entry) }))
    .filter(({ key }) => key > after)
    .toSorted((one, other) => (one.key < other.key ? -1 : 1));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const next = last && rest.length > limit ? Buffer.from(last.key).toString('base64url') : null;
  return { page: page.map(({ entry }) => entry), next };
}

/** A key for the order in which things were made: milliseconds since the epoch, then the id. */
export function byAge(createdAt: number, id: string): string {
  return `${String(createdAt).padStart(16, '0')} ${id}`;
}

/** What a cursor in that order stands after. Throws `WspError` (`invalid_request`) for one that is none. */
export function ageIn(cursor: string): { readonly createdAt: number; readonly id: string } {
  const [, createdAt, id] = /^(\d{16}) (.*)$/s.exec(keyIn(cursor)) ?? [];
  if (createdAt === undefined || id === undefined) throw noCursor();
  return { createdAt: Number(createdAt), id };
}

function keyIn(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  if (Buffer.from(key).toString('base64url') === cursor) return key;
  throw noCursor();
}

function noCursor(): WspError {
  return invalidRequest([{ path: 'cursor', message: 'is not a cursor that an earlier page gave as next' }]);
}

/**
 * What a route does not know in a query is refused, as it is in a body: a filter that is misspelt
 * would let everything through. Call it before routes are added.
 */
export function refuseUnknownParameters(app: FastifyInstance): void {
  app.addHook('preValidation', async request => {
    const { querystring } = (request.routeOptions.schema ?? {}) as {
      readonly querystring?: { readonly properties?: object };
    };
    const known = Object.keys(querystring?.properties ?? {});
    const unknown = Object.keys(request.query as object).filter(name => !known.includes(name));
    if (unknown.length === 0) return;
    const message = `is not known here; known: ${known.join(', ') || 'nothing'}`;
    throw invalidRequest(unknown.map(name => ({ path: name.slice(0, 60), message })));
  });
}
