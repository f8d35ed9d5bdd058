import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { mostUserDataBytes, type UserData } from '../protocol/cluster.ts';
import { WspError } from '../protocol/errors.ts';
import { textOf } from '../protocol/text.ts';

/** Far more than any cluster file, key file or certificate has. */
const mostTextBytes = 1_048_576;

/** A file's text; messages call it `what`. Throws `WspError`: `not_found`, `invalid_file`. */
export function readText(path: string, what: string): string {
  return textOf(readBytes(path, what, mostTextBytes), what);
}

/** A file as user data: text when it is UTF-8, for people to read; else base64. Throws likewise. */
export function readUserData(path: string, what: string): UserData {
  const bytes = readBytes(path, what, mostUserDataBytes);
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') };
}

/** All of a file, or of a pipe; of one that is too long, one byte more than it may have. */
function readBytes(path: string, what: string, mostBytes: number): Buffer {
  const buffer = Buffer.alloc(mostBytes + 1);
  let size = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (let read = -1; read !== 0 && size < buffer.length; size += read)
        read = readSync(file, buffer, size, buffer.length - size, null);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const message = missing
      ? `${what} is not there (${path})`
      : `${what} cannot be read: ${(cause as Error).message}`;
    throw new WspError(missing ? 'not_found' : 'invalid_file', message, { cause });
  }
  if (size > mostBytes)
    throw new WspError('invalid_file', `${what} is too long: it has more than ${mostBytes} bytes`);
  return buffer.subarray(0, size);
}
