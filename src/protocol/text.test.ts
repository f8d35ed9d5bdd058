import { expect, it } from 'vitest';
import { plainJson, plainLines, plainText, plainTexts } from './text.ts';

const nasty = 'a\u001b[2J\u009b2J\u0007\r\n\t\u202eb\u2028\ud800c';

it('security 26: words of others do nothing to a terminal, and stay as long as they were', () => {
  expect(plainText(nasty)).toBe('a [2J 2J     b  c');
  expect(plainText('grüße 😀 \u05d0')).toBe('grüße 😀 \u05d0');
  expect(plainText(nasty)).toHaveLength(nasty.length);
  expect(plainLines('one\n\ttwo\u001b\n')).toBe('one\n\ttwo \n');
});

it('security 26: in every text of a message', () => {
  const message = { reason: { message: nasty }, list: [nasty, 1, null, true] };
  expect(JSON.stringify(plainTexts(message))).not.toMatch(/\\u00|\p{Cc}|\p{Bidi_Control}/u);
  expect(plainTexts({ seq: 1, at: 2 })).toEqual({ seq: 1, at: 2 });
});

it('security 26: a JSON text stays the same document', () => {
  const text = `${JSON.stringify({ nasty })}\n`;
  expect(plainJson(text)).not.toMatch(/[\u007f-\u009f\u202e\u2028]/);
  expect(JSON.parse(plainJson(text))).toEqual({ nasty });
});
