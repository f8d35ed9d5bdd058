import { Duplex, PassThrough } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { type LineLink, lineLink } from './line-link.ts';
import { createVirtualClock, settle, type VirtualClock } from './virtual-clock.ts';

let clock: VirtualClock;
let incoming: PassThrough;
let outgoing: PassThrough;
let stream: Duplex;
let lines: string[];
let closed: string[];
let link: LineLink;
beforeEach(() => {
  clock = createVirtualClock(0);
  [incoming, outgoing, lines, closed] = [new PassThrough(), new PassThrough(), [], []];
  stream = Duplex.from({ readable: incoming, writable: outgoing });
  link = lineLink(stream, clock, { line: text => lines.push(text), closed: why => closed.push(why) });
});

describe('lines over a stream', () => {
  it('arrive whole, wherever the stream is cut into pieces', async () => {
    for (const byte of Buffer.from('eins\n\nzwölf\ndrei')) incoming.write(Buffer.from([byte]));
    await settle();
    expect(lines).toEqual(['eins', 'zwölf']);
    incoming.write('hundert\n');
    await settle();
    expect(lines).toEqual(['eins', 'zwölf', 'dreihundert']);
  });

  it('show that somebody lives, and miss it when nobody does', async () => {
    await clock.advanceBy(30_000);
    expect(String(outgoing.read())).toBe('\n\n');
    incoming.write('\n');
    await clock.advanceBy(44_000);
    expect(closed).toEqual([]);
    await clock.advanceBy(1_000);
    expect(closed).toEqual(['silent for 45s']);
    expect(stream.destroyed).toBe(true);
    link.send('nothing happens');
  });

  it('end with a reason that the other side is told', async () => {
    link.send('last');
    link.close('enough\nof it');
    link.send('too late');
    await settle();
    expect(String(outgoing.read())).toBe('last\n!enough of it\n');
    incoming.end('still\n');
    await settle();
    expect([lines, closed]).toEqual([[], ['enough\nof it']]);
  });

  it('are over when the other side says so, and with the stream', async () => {
    incoming.write('one\n!replaced\ntwo\n');
    await settle();
    expect([lines, closed]).toEqual([['one'], ['replaced']]);
    await clock.advanceBy(5_000);
    expect(stream.destroyed).toBe(true);
    expect(closed).toEqual(['replaced']);
  });

  it('are cut off when one is too long, and when nobody reads', async () => {
    incoming.write(Buffer.alloc(4 * 1024 * 1024 + 1, 'x'));
    await settle();
    expect(closed).toEqual(['a line is too long']);
  });

  it('are cut off when nobody reads them', async () => {
    const line = 'x'.repeat(1024 * 1024);
    for (let count = 0; count < 20; count++) link.send(line);
    await settle();
    expect(closed).toEqual([expect.stringContaining('bytes wait to be read')]);
  });
});
