import { appendFileSync, closeSync, constants, fsyncSync, openSync, readFileSync } from 'node:fs';

/** Flags of open(2) for a file only added to, made if it is not there. Links are an error. */
export const appendOnly = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/** Adds text to our own file, made with mode 0600. Throws: ELOOP when it is a symbolic link. */
export function appendTo(path: string, text: string): void {
  const file = openSync(path, appendOnly, 0o600);
  try {
    appendFileSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** The text of a file of our own; empty when it is not there. Throws as `appendTo`. */
export function readOwn(path: string): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
  try {
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Where a log goes that has become too long, in place of the one before it. */
export function olderOf(path: string): string {
  return `${path}.1`;
}

/** Returns when a file's content, or a directory's names, are on disk (fsync(2)). */
export function syncToDisk(path: string): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
