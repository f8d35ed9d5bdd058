import { WspError } from '../protocol/errors.ts';

/**
 * All entries of a list, however many pages it has; or the first `most` of them. `read`: a page, and
 * what to ask for the next one with (null: there is none).
 */
export async function allPages<Entry, Cursor>(
  read: (
    cursor: Cursor | undefined,
  ) => Promise<{ readonly entries: readonly Entry[]; readonly next: Cursor | null }>,
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
