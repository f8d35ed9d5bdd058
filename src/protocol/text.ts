import { WspError } from './errors.ts';

/** A file's UTF-8 as text. Throws `WspError` (`invalid_file`) instead of losing odd bytes. */
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

/**
 * Characters that do something to a terminal, or to the text around them: control characters (ESC,
 * CSI), line and paragraph ends, what turns the direction of writing, and halves of characters.
 */
const unplain = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu;

/** Others' words for a line of ours, as long as before, without what a terminal obeys. */
export function plainText(text: string): string {
  return text.replace(unplain, ' ');
}

/** The same for a text of several lines, whose ends and tabs are ours. */
export function plainLines(text: string): string {
  return text.replace(unplain, each => (each === '\n' || each === '\t' ? each : ' '));
}

/** The same for a JSON text, which stays the same document. */
export function plainJson(text: string): string {
  return text.replace(unplain, each =>
    each === '\n' ? each : `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A value of a message with `plainText` of every text in it. */
export function plainTexts<Value>(value: Value): Value {
  const plain = (part: unknown): unknown => {
    if (typeof part === 'string') return plainText(part);
    if (Array.isArray(part)) return part.map(plain);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, member]) => [key, plain(member)]));
  };
  return plain(value) as Value;
}
