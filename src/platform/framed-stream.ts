import { Duplex } from 'node:stream';

const headBytes = 4;
const end = Buffer.alloc(headBytes);

/**
 * Bytes over a stream that can be cut: each direction is a row of pieces, a length (32 bits, big-endian) before each, and ends with a piece of none. So an end
 * that was meant is told from a connection that was lost, which is an error; and each direction ends by itself, whatever the stream can do. The stream is
 * ended when both have.
 */
export function framedStream(stream: Duplex): Duplex {
  let ended = false;
  let head = Buffer.alloc(0);
  /** Of the piece that is being read. */
  let left = 0;
  const framed = new Duplex({
    allowHalfOpen: true,
    read: () => void stream.resume(),
    write(chunk: Buffer, _encoding, done) {
      if (chunk.length === 0) return done();
      const before = Buffer.alloc(headBytes);
      before.writeUInt32BE(chunk.length);
      stream.write(Buffer.concat([before, chunk]), done);
    },
    final: done => void stream.write(end, done),
    destroy(cause, done) {
      const orderly = !cause && framed.readableEnded && framed.writableFinished;
      if (orderly) stream.resume().end();
      else stream.destroy();
      done(cause);
    },
  });
  const readHead = (bytes: Buffer): Buffer => {
    const missing = headBytes - head.length;
    head = Buffer.concat([head, bytes.subarray(0, missing)]);
    if (head.length === headBytes) {
      left = head.readUInt32BE();
      head = Buffer.alloc(0);
      if (left === 0) {
        ended = true;
        framed.push(null);
      }
    }
    return bytes.subarray(missing);
  };
  stream.on('data', (chunk: Buffer) => {
    for (let rest = chunk; rest.length > 0 && !ended; ) {
      if (left === 0) rest = readHead(rest);
      const piece = rest.subarray(0, left);
      if (piece.length > 0 && !framed.push(piece)) stream.pause();
      left -= piece.length;
      rest = rest.subarray(piece.length);
    }
  });
  const lost = (): void => {
    if (!ended) framed.destroy(new Error('the connection was lost'));
    else if (!framed.writableFinished) framed.destroy();
  };
  stream.on('error', cause => framed.destroy(ended ? undefined : cause));
  stream.on('end', lost).on('close', lost);
  return framed;
}
