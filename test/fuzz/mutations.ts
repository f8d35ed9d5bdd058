import { Dice } from '../sim/dice.ts';
import { type Json, requestOf } from './seeds.ts';

/**
 * Lines for the helper that are nearly requests: each a valid one of which something was changed,
 * in its values or in its text. The same seed is the same line.
 */

const longest = 'a'.repeat(5_000);

/** What one would try instead of a value. */
const hostile: readonly [Json, ...Json[]] = [
  null,
  ...[true, 0, -1, 1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308],
  ...['', ' ', '\n', '\0', '\r\n', '..', '/', '-', '--', '*', longest, '__proto__', 'lo', 'eth0', 'eth1'],
  ...[
    'wt',
    'wb',
    'wtx\n',
    'wtx up',
    'wbx"',
    'wbx; flush ruleset',
    '$(id)',
    '`id`',
    'wt{}',
    'WTA',
    'wtä',
    'wt٣',
  ],
  ...['0.0.0.0', '127.0.0.1', '169.254.169.254', '224.0.0.1', '255.255.255.255', '010.1.1.1', '1.2.3', '::1'],
  ...[
    '02:00:00:00:00:0g',
    '03:00:00:00:00:01',
    '02:00:00:00:00:01\n',
    '/etc/passwd',
    '/a/b/c/../d',
    '/a//b/c',
  ],
  ...[[], {}, [[]], { kind: 'host' }, ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1']],
];

const keys = ['__proto__', 'constructor', 'toString', 'length', 'x', '', 'id', 'op', 'nic', 'tap'] as const;
const marks = [
  '\n',
  '\0',
  '"',
  ';',
  ' ',
  '{',
  '}',
  '$',
  '\\',
  '/',
  '.',
  ':',
  '-',
  'ſ',
  '\u{1f4a5}',
  '\ud800',
] as const;

/** The line of a seed; it has no line feed in it. */
export function mutatedLine(seed: number): string {
  const dice = new Dice(seed);
  let request: Json = requestOf(dice);
  for (let left = dice.int(0, 3); left > 0; left -= 1) request = changed(request, dice);
  let text = JSON.stringify(request);
  for (let left = dice.chance(0.4) ? dice.int(1, 4) : 0; left > 0; left -= 1) text = torn(text, dice);
  return text.replaceAll('\n', ' ');
}

/** The value with something in it replaced, left out, added or repeated. */
function changed(value: Json, dice: Dice): Json {
  if (typeof value !== 'object' || value === null || dice.chance(0.15)) return instead(value, dice);
  if (Array.isArray(value)) {
    const at = dice.int(0, value.length);
    if (at === value.length) return [...value, dice.pick(hostile)];
    return value.flatMap((each, index) => {
      if (index !== at) return [each];
      return dice.chance(0.2) ? [each, each] : [changed(each, dice)];
    });
  }
  const entries = Object.entries(value);
  const at = dice.int(0, entries.length - 1);
  if (entries.length === 0 || dice.chance(0.1))
    return Object.fromEntries([...entries, [dice.pick(keys), dice.pick(hostile)]]);
  return Object.fromEntries(
    entries.flatMap(([key, each], index) => {
      if (index !== at) return [[key, each]];
      return dice.chance(0.1) ? [] : [[key, changed(each, dice)]];
    }),
  );
}

function instead(value: Json, dice: Dice): Json {
  if (typeof value !== 'string' || dice.chance(0.4)) return dice.pick(hostile);
  const at = dice.int(0, value.length);
  return value.slice(0, at) + dice.pick(marks) + value.slice(at + dice.int(0, 1));
}

/** The text with a piece of it lost, doubled or put elsewhere. */
function torn(text: string, dice: Dice): string {
  const from = dice.int(0, text.length);
  const to = Math.min(text.length, from + dice.int(0, 12));
  const piece = text.slice(from, to);
  switch (dice.int(0, 6)) {
    case 0:
      return text.slice(0, from) + text.slice(to);
    case 1:
      return text.slice(0, to) + piece + text.slice(to);
    case 2:
      return text.slice(0, from) + dice.pick(marks) + text.slice(from + 1);
    case 3:
      return text.slice(0, from);
    case 4:
      return piece + text;
    case 5:
      return (
        text.slice(0, from) +
        dice.pick(['1e999', '-0', '\\u0000', '\ufeff', '"id":7,', 'NaN']) +
        text.slice(from)
      );
    default:
      return (
        text.slice(0, from) +
        dice.pick(['[', '{"a":']).repeat(dice.chance(0.01) ? 20_000 : 40) +
        text.slice(from)
      );
  }
}
