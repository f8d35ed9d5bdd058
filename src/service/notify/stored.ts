import { documentOf, type Fields } from '../store/fields.ts';

/** A webhook, as the store keeps it. */
export interface StoredHook {
  readonly id: string;
  readonly owner: string;
  readonly url: string;
  readonly secret: string;
  readonly workspace: string | null;
  readonly types: readonly string[];
  readonly cursor: number;
  readonly createdAt: number;
  /** Why it has stopped; null while it delivers. */
  readonly stopped: string | null;
  readonly deadInARow: number;
}

/** An event that a webhook could not be told. */
export interface StoredDeadLetter {
  readonly hook: string;
  readonly event: number;
  readonly at: number;
  readonly attempts: number;
  readonly error: string;
}

const hook: Fields<StoredHook> = {
  id: 'text',
  owner: 'text',
  url: 'text',
  secret: 'text',
  workspace: 'text?',
  types: { each: 'text' },
  cursor: 'number',
  createdAt: 'number',
  stopped: 'text?',
  deadInARow: 'number',
};

const deadLetter: Fields<StoredDeadLetter> = {
  hook: 'text',
  event: 'number',
  at: 'number',
  attempts: 'number',
  error: 'text',
};

/** A stored document as what it is. These throw `WspError` (`failed`): it cannot be read. */
export const hookOf = (id: string, body: unknown): StoredHook =>
  documentOf<StoredHook>('webhook', id, body, hook);
export const deadLetterOf = (id: string, body: unknown): StoredDeadLetter =>
  documentOf<StoredDeadLetter>('dead letter', id, body, deadLetter);
