/**
 * Bounds on JSON that somebody else has sent, looked at before it is parsed: a text of a megabyte
 * that is all brackets takes the parser, and what checks its result after it, a hundred times as
 * long as one of the same length that means something.
 */

/** The deepest of our documents, a workspace's request, has six levels. */
const mostLevels = 32;
/** The largest of them, a pilot's hello with all its VMs, has some two thousand. */
const mostValues = 20_000;

/** What a text, JSON or not, has too much of, in words for its sender; undefined: nothing. */
export function excessIn(text: string): string | undefined {
  let levels = 0;
  let values = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = endOfString(text, at);
        break;
      case openBracket:
      case openBrace:
        levels += 1;
        values += 1;
        break;
      case closeBracket:
      case closeBrace:
        levels -= 1;
        break;
      case comma:
        values += 1;
        break;
    }
    if (levels > mostLevels) return `it is nested more than ${mostLevels} levels deep`;
    if (values > mostValues) return `it has more than ${mostValues} values`;
  }
  return undefined;
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Where the string from `from` ends: at a quote with an even number of backslashes before it. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let first = at;
    while (text.charCodeAt(first - 1) === backslash) first -= 1;
    if ((at - first) % 2 === 0) return at;
  }
  return text.length;
}
