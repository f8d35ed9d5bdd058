import { WspError } from './errors.ts';

/**
 * A file's bytes as text. Throws `WspError` (`invalid_file`) when they are not UTF-8, of which odd
 * bytes would be lost without a word.
 */
export function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new WspError('invalid_file', `${file} is not UTF-8 text`, {
      hint: 'convert it, for example with iconv -f latin1 -t utf8',
      cause,
    });
  }
}
