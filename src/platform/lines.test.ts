import { expect, it } from 'vitest';
import { Lines } from './lines.ts';

/**
 * What comes of pieces, with lines of at most eight bytes: the lines, and how many were too long.
 */
function cut(...pieces: readonly string[]): readonly [lines: string[], tooLong: number] {
  const lines: string[] = [];
  let tooLong = 0;
  const reader = new Lines(
    8,
    line => lines.push(line),
    () => (tooLong += 1),
  );
  for (const piece of pieces) reader.push(Buffer.from(piece));
  return [lines, tooLong];
}

it('cuts lines wherever the pieces end, in the middle of a letter too', () => {
  expect(cut('a\r\nb', 'c\n\nd')).toEqual([['a', 'bc', ''], 0]);
  const reader: string[] = [];
  const lines = new Lines(8, line => reader.push(line));
  const bytes = Buffer.from('ä\n');
  lines.push(bytes.subarray(0, 1));
  lines.push(bytes.subarray(1));
  expect(reader).toEqual(['ä']);
});

it('security 14 tells once of a line that is too long, and takes nothing of it for another line', () => {
  expect(cut('123456789\nok\n')).toEqual([['ok'], 1]);
  expect(cut('1234567890', '1234567890', 'end\nok\n')).toEqual([['ok'], 1]);
  expect(cut('123456789\n123456789\n123456789', '\nok\n')).toEqual([['ok'], 3]);
});
