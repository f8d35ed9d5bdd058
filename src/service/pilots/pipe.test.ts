import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createVirtualClock, settle, type VirtualClock } from '../../platform/virtual-clock.ts';
import { PilotPipe } from './pipe.ts';

let clock: VirtualClock;
let pipe: PilotPipe;
beforeEach(() => {
  clock = createVirtualClock(0);
  pipe = new PilotPipe(clock);
  pipe.on('error', () => undefined);
});

const give = async (after: number, max = 100): Promise<string> => {
  const { bytes, ends } = await pipe.give(after, max);
  return `${bytes.toString()}${ends ? ' END' : ''}`;
};
const receive = (at: number, words: string, ends = false): Promise<number> =>
  pipe.receive(at, Buffer.from(words), ends);

describe('what the service says', () => {
  it('is given until it is acknowledged, part by part, and then its end', async () => {
    pipe.write('abc');
    pipe.end('def');
    expect([await give(0), await give(0), await give(0, 2), await give(2)]).toEqual([
      'abc',
      'abc',
      'ab',
      'c',
    ]);
    expect(await give(3)).toBe('def');
    expect(await give(3, 2)).toBe('de');
    expect(await give(6)).toBe(' END');
    await settle();
    expect(pipe.writableFinished).toBe(false);
    expect(await give(7)).toBe(' END');
    await settle();
    expect(pipe.writableFinished).toBe(true);
    // The acknowledgement whose answer was lost.
    expect(await give(7, 0)).toBe(' END');
  });

  it('is waited for, and comes at once', async () => {
    const waiting = give(0);
    await clock.advanceBy(24_000);
    pipe.write('late');
    expect(await waiting).toBe('late');
    const empty = give(4);
    await clock.advanceBy(25_000);
    expect(await empty).toBe('');
  });

  it('goes to the newer of two requests that wait', async () => {
    const [older, newer] = [give(0), give(0)];
    await settle();
    pipe.write('x');
    expect([await older, await newer]).toEqual(['', 'x']);
  });

  it('is gathered while what was said before is on its way', async () => {
    for (const word of ['a', 'b', 'c']) pipe.write(word);
    expect([await give(0), await give(1), await give(3, 0)]).toEqual(['a', 'bc', '']);
  });

  it('may go on when the pilot has no more to say', async () => {
    pipe.resume();
    await receive(0, 'abc', true);
    await settle();
    expect(pipe.readableEnded).toBe(true);
    pipe.write('later');
    expect(await give(0)).toBe('later');
  });

  it.each([3, 7, 99])('has no number %d', async after => {
    pipe.write('abcdef');
    await give(4);
    await expect(give(after)).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('what the pilot says', () => {
  it('is taken once, however often it comes, and whole', async () => {
    const whole = text(pipe);
    pipe.end();
    expect(await receive(0, 'abc')).toBe(3);
    expect(await receive(0, 'abc')).toBe(3);
    expect(await receive(1, 'bcde')).toBe(5);
    await expect(receive(6, 'g')).rejects.toMatchObject({ code: 'conflict' });
    expect(await receive(5, 'f', true)).toBe(7);
    expect(await receive(5, 'f', true)).toBe(7);
    expect(await whole).toBe('abcdef');
  });

  it('is known to have ended also when the pipe is over, for whoever has not heard that', async () => {
    pipe.resume();
    pipe.end();
    expect(await receive(0, 'abcdef', true)).toBe(7);
    // Both have said all: that its last answer was lost it finds out afterwards.
    expect([await give(0, 0), await give(1, 0)]).toEqual([' END', ' END']);
    await settle();
    expect(pipe.destroyed).toBe(true);
    expect(await receive(5, 'f', true)).toBe(7);
  });

  it('need not be read to be taken, as long as there is room', async () => {
    expect([await receive(0, 'abc'), await receive(3, 'def')]).toEqual([3, 6]);
    expect(String(pipe.read())).toBe('abcdef');
  });

  it('is held back while nobody reads, and taken when somebody does', async () => {
    const much = 'x'.repeat(100_000);
    expect(await receive(0, much)).toBe(100_000);
    const held = receive(100_000, 'more');
    await clock.advanceBy(25_000);
    expect(await held).toBe(100_000);
    const next = receive(100_000, 'more');
    const newer = receive(100_000, 'more');
    expect(await next).toBe(100_000);
    pipe.resume();
    expect(await newer).toBe(100_004);
  });
});

describe('a pilot that is not heard of', () => {
  it('is gone after a minute, and told why when it comes', async () => {
    await clock.advanceBy(30_000);
    await give(0, 0);
    await clock.advanceBy(59_999);
    expect(pipe.destroyed).toBe(false);
    await clock.advanceBy(1);
    expect(pipe.destroyed).toBe(true);
    await expect(give(0)).rejects.toThrow('the pipe is closed: nothing was heard of the pilot for 1m');
    await expect(receive(0, 'x')).rejects.toThrow('the pipe is closed');
  });

  it('is told so when the pipe was closed meanwhile', async () => {
    pipe.destroy();
    await expect(give(0)).rejects.toThrow('the pipe is closed: it was closed');
  });

  it('is gone soon when the connection of its request broke, unless it comes back', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const lost = pipe.give(0, 100, first.signal);
    await settle();
    const outcome = pipe.give(0, 100, second.signal).catch((cause: unknown) => cause);
    // Seen late: it has come back already.
    first.abort();
    await clock.advanceBy(10_000);
    expect(pipe.destroyed).toBe(false);
    expect((await lost).bytes).toHaveLength(0);
    second.abort();
    await clock.advanceBy(1_999);
    expect(pipe.destroyed).toBe(false);
    await clock.advanceBy(1);
    expect(pipe.destroyed).toBe(true);
    expect(await outcome).toMatchObject({ code: 'conflict' });
  });
});
