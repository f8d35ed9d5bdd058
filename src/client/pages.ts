import { WspError } from '../protocol/errors.ts';

/** One page of a list, and what to ask for the next one with. */
export interface ListPage<Entry, Cursor> {
  readonly entries: readonly Entry[];
  /** Null: there is no next page. */
  readonly next: Cursor | null;
}

/** All entries of a list, however many pages it has; or the first `most` of them. */
export async function allPages<Entry, Cursor = string>(
  read: (cursor: Cursor | undefined) => Promise<ListPage<Entry, Cursor>>,
  most = Number.POSITIVE_INFINITY,
): Promise<readonly Entry[]> {
  const all: Entry[] = [];
  for (let cursor: Cursor | undefined; ; ) {
    const { entries, next } = await read(cursor);
    for (const entry of entries) all.push(entry);
    if (next === null || all.length >= most) return all.slice(0, most);
    if (next === cursor)
      throw new WspError('service_unreachable', 'the service gives the same page again and again');
    cursor = next;
  }
}

/** A cursor as a part of a query. */
export function cursorQuery(cursor: string | undefined): { readonly cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}
