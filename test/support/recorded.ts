import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line of a conversation that programs of an earlier version have had. */
export interface RecordedLine<Theirs extends string> {
  readonly from: Theirs;
  readonly message: { readonly type?: string } & Readonly<Record<string, unknown>>;
}

/** A conversation in `test/recorded/`; `ids` replaces ids that it has by those of today's test. */
export function recorded<Theirs extends string>(
  name: string,
  ids: Readonly<Record<string, string>> = {},
): readonly RecordedLine<Theirs>[] {
  let text = readFileSync(join(import.meta.dirname, '../recorded', name), 'utf8');
  for (const [theirs, ours] of Object.entries(ids)) text = text.replaceAll(theirs, ours);
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as RecordedLine<Theirs>);
}
