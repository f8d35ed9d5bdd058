import { Duplex, PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { framedStream } from './framed-stream.ts';
import { settle } from './virtual-clock.ts';

function pair() {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const one = framedStream(Duplex.from({ readable: back, writable: there }));
  const other = framedStream(Duplex.from({ readable: there, writable: back }));
  const heard = { text: '', ended: false, broken: '' };
  other.on('data', (chunk: Buffer) => (heard.text += chunk.toString()));
  other.on('end', () => (heard.ended = true)).on('error', cause => (heard.broken = cause.message));
  one.on('error', () => undefined);
  return { there, back, one, other, heard };
}

describe('a framed stream', () => {
  it('ends each direction by itself', async () => {
    const { one, other, heard } = pair();
    one.write('ques');
    one.write('');
    one.end('tion');
    await settle();
    expect(heard).toEqual({ text: 'question', ended: true, broken: '' });
    let answer = '';
    one.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    other.end('answer');
    await new Promise(resolve => one.once('close', resolve));
    expect(answer).toBe('answer');
  });

  it('takes pieces that are cut anywhere', async () => {
    const bytes = new PassThrough();
    const framed = framedStream(Duplex.from({ readable: bytes, writable: new PassThrough() }));
    let text = '';
    framed.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise(resolve => framed.once('end', resolve));
    for (const byte of Buffer.from('\0\0\0\x03abc\0\0\0\x01d\0\0\0\0')) {
      bytes.write(Buffer.from([byte]));
      await settle();
    }
    await ended;
    expect(text).toBe('abcd');
  });

  it.each(['', '\0\0', '\0\0\0\x05ab'])('tells a lost connection from an end, after %j', async more => {
    const { there, heard } = pair();
    there.end(`\0\0\0\x01x${more}`);
    await settle();
    await settle();
    expect(heard).toMatchObject({ ended: false, broken: 'the connection was lost' });
  });
});
