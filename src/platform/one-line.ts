/** A program's words on one line, and not too many: at most `most` characters of them. */
export function oneLine(text: string, most = 500): string {
  return text
    .trim()
    .replace(/\s*\n\s*/g, '; ')
    .slice(0, most);
}
