import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { serveInput } from './input.ts';

function begin(holdsSlot = false) {
  const clock = createVirtualClock(0);
  const input = new PassThrough();
  const asked: string[] = [];
  const refused: string[] = [];
  const over = serveInput(input, {
    clock,
    answer: line => {
      asked.push(line);
      return Promise.resolve(line !== 'last');
    },
    refuse: message => refused.push(message),
    holdsSlot: () => holdsSlot,
  }).then(
    () => 'over',
    (cause: Error) => cause.message,
  );
  return { clock, input, asked, refused, over };
}

it('answers a line after the other until its input closes', async () => {
  const { input, asked, over, clock } = begin();
  input.write('one\ntw');
  input.end('o\nhalf');
  expect(await over).toBe('over');
  expect(asked).toEqual(['one', 'two']);
  expect(clock.nextAt()).toBeUndefined();
});

it('answers nothing more when no more is wanted', async () => {
  const { input, asked, over } = begin();
  input.write('last\none more\n');
  expect(await over).toBe('over');
  expect(asked).toEqual(['last']);
});

describe('security 14 what one caller can ask of a helper is bounded', () => {
  it('in the length of a line', async () => {
    const { input, asked, refused, over } = begin();
    input.end(`${'x'.repeat(262_145)}\none\n`);
    expect(await over).toBe('over');
    expect([asked, refused]).toEqual([['one'], ['a line is longer than 262144 bytes']]);
  });

  it('in the number of requests', async () => {
    const { input, asked, refused, over } = begin();
    for (let piece = 0; piece < 11; piece += 1) input.write('x\n'.repeat(10_000));
    expect(await over).toBe('over');
    expect([asked.length, refused]).toEqual([100_000, ['more than 100000 requests']]);
  });

  it('in how long nothing is asked: half a request is none', async () => {
    const { input, clock, over } = begin();
    input.write('{"id":1');
    await clock.advanceTo(59_999);
    expect(input.destroyed).toBe(false);
    await clock.advanceTo(60_000);
    expect(await over).toBe('the helper received no request within 1m');
  });

  it.each([
    ['somebody has asked something', 'one\n', false],
    ['the slot has something on the node, as that of a helper that has died', '', true],
  ])('but not when %s', async (_, text, holdsSlot) => {
    const { input, clock, over } = begin(holdsSlot);
    input.write(text);
    await clock.advanceTo(3_600_000);
    expect(input.destroyed).toBe(false);
    input.end();
    expect(await over).toBe('over');
  });
});
