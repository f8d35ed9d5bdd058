import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** RFC 6455 §7.4.1: the connection was lost, no close frame came. */
const lost = 1006;
/** The other side may take no longer message than the pilot protocol has. */
const mostBytes = 256 * 1024;
const nothing = Buffer.alloc(0);

/**
 * Bytes over an open WebSocket, each direction with an end of its own: an empty message says that no more will come, as TCP's FIN does. (RFC 6455 can only
 * close both.) A close frame ends what has not ended; a connection that is lost is an error. The socket is closed when both directions have ended.
 */
export function webSocketStream(socket: WebSocket): Duplex {
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    stream.push(null);
  };
  const send = (bytes: Buffer, done: (cause?: Error | null) => void): void =>
    socket.readyState === socket.OPEN
      ? socket.send(bytes, { binary: true }, done)
      : done(new Error('the other side has closed the stream'));
  const sendAll = (bytes: Buffer, done: (cause?: Error | null) => void): void =>
    bytes.length <= mostBytes
      ? send(bytes, done)
      : send(bytes.subarray(0, mostBytes), cause =>
          cause ? done(cause) : sendAll(bytes.subarray(mostBytes), done),
        );
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => (chunk.length === 0 ? done() : sendAll(chunk, done)),
    final: done => send(nothing, () => done()),
    destroy(cause, done) {
      // What waits unread would hold back the closing handshake.
      socket.resume();
      if (cause) socket.terminate();
      else socket.close();
      done(cause);
    },
  });
  socket.on('message', (data: Buffer) => {
    if (ended || stream.destroyed) return;
    if (data.length === 0) end();
    else if (!stream.push(data)) socket.pause();
  });
  // 'close' follows every error.
  socket.on('error', () => undefined);
  socket.on('close', code => {
    if (!ended && code === lost) {
      stream.destroy(new Error('the connection was lost'));
      return;
    }
    end();
    // Nobody hears what is still written; what has come is still read.
    if (stream.readableEnded) stream.destroy();
    else stream.once('end', () => stream.destroy());
  });
  return stream;
}
