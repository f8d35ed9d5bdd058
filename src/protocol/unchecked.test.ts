import { describe, expect, it } from 'vitest';
import { Unchecked } from './unchecked.ts';

const from = (text: string): Unchecked => new Unchecked(JSON.parse(text));

describe('a value from outside', () => {
  it('is what it has to be', () => {
    const { a, b, c } = from('{"a":{"b":["10.0.0.1",7]},"c":"x"}').object('a', 'b', 'c');
    const [address, number] = a.at('b').list(2);
    expect([address?.host(), number?.integer(7, 7), b.value, c.oneOf(['x', 'y'])]).toEqual([
      '10.0.0.1',
      7,
      undefined,
      'x',
    ]);
    expect([
      from('"02:00:00:00:00:01"').mac(),
      from('"127.0.0.1"').ipv4(),
      from('"ab"').text(/^a/, ''),
    ]).toEqual(['02:00:00:00:00:01', '127.0.0.1', 'ab']);
  });

  it.each<[string, string, (value: Unchecked) => unknown]>([
    ['it must be an object (it is [])', '[]', value => value.object()],
    ['it must be an object (it is null)', 'null', value => value.at('a')],
    ['it has a key "b", which is not known', '{"a":1,"b":2}', value => value.object('a')],
    ['it has a key "__proto__", which is not known', '{"__proto__":{}}', value => value.object('a')],
    ['constructor must be one of a (it is missing)', '{}', value => value.at('constructor').oneOf(['a'])],
    [
      'a.b[1] must be a whole number from 1 to 2 (it is 3)',
      '{"a":{"b":[1,3]}}',
      value =>
        value
          .at('a')
          .at('b')
          .list(2)
          .map(each => each.integer(1, 2)),
    ],
    ['a must be a list of at most 1', '{"a":[1,2]}', value => value.at('a').list(1)],
    ['a must be a list of at most 1', '{"a":{"length":0}}', value => value.at('a').list(1)],
    ['a must be a whole number', '{"a":1.5}', value => value.at('a').integer(1, 2)],
    ['a must be a whole number', '{"a":"1"}', value => value.at('a').integer(1, 2)],
    ['a must be an x (it is "y")', '{"a":"y"}', value => value.at('a').text('^x$', 'an x')],
    ['a must be an x (it is ["x"])', '{"a":["x"]}', value => value.at('a').text('^x$', 'an x')],
    ['a must be an IPv4 address', '{"a":"10.0.0.01"}', value => value.at('a').ipv4()],
    ["a must be a host's address", '{"a":"169.254.1.1"}', value => value.at('a').host()],
    ['a must be the MAC of one interface', '{"a":"03:00:00:00:00:01"}', value => value.at('a').mac()],
  ])('is refused: %s', (words, text, read) => {
    expect(() => read(from(text))).toThrow(words);
  });

  it('is not repeated when it is long', () => {
    expect(() => new Unchecked('x'.repeat(60)).ipv4()).toThrow(/10\.90\.0\.1$/);
    const key = 'x'.repeat(100);
    expect(() => new Unchecked({ [key]: 1 }).object()).toThrow(`"${key.slice(0, 60)}"`);
  });
});
