import type { Duplex } from 'node:stream';
import type { Clock, StopTimer } from './clock.ts';

/**
 * Lines of text over a byte stream, both ways, for as long as it lasts: what messages travel in where there is no WebSocket.
 *
 *   text\n      a message: JSON has no line ends of its own
 *   \n          nothing new, but I live: sent every so often; who is silent for too long is taken for dead, whatever the stream thinks
 *   !why\n      I close, and this is why; the stream's end follows
 */
export interface LineLink {
  /** Hands a line over; on a link that has closed, nothing happens. */
  send(text: string): void;
  /** Sends what was handed over, says why, and closes. */
  close(why: string): void;
}

/** Who is told of what comes. */
export interface LineHandlers {
  line(text: string): void;
  /** Called once, when the link has ended, whoever ended it. */
  closed(why: string): void;
}

const heartbeatMs = 15_000;
const silenceDeadlineMs = 45_000;
/** From our close, or the other's end, until the stream must be gone. */
const closeDeadlineMs = 5_000;
/** The pilot protocol's largest message, and some air. */
const maxLineBytes = 4 * 1024 * 1024;
/** Who reads so slowly that this much waits for it is cut off; it comes again and hears the rest. */
const maxUnsentBytes = 16 * 1024 * 1024;
const newline = 0x0a;

/** Lines over a stream, which is the link's from now on. */
export function lineLink(stream: Duplex, clock: Clock, handlers: LineHandlers): LineLink {
  let why: string | undefined;
  let over = false;
  let stopHeartbeat: StopTimer = () => undefined;
  let stopSilence: StopTimer = () => undefined;
  let stopClosing: StopTimer = () => undefined;
  const tell = (reason: string): void => {
    if (over) return;
    over = true;
    stopHeartbeat();
    stopSilence();
    handlers.closed(why ?? reason);
  };
  const cut = (reason: string): void => {
    why ??= reason;
    stream.destroy();
  };
  const finish = (): void => {
    stopClosing();
    stopClosing = clock.after(closeDeadlineMs, () => stream.destroy());
    stream.end();
  };
  const write = (text: string): void => {
    if (over || !stream.writable) return;
    if (stream.writableLength > maxUnsentBytes) return cut(`${stream.writableLength} bytes wait to be read`);
    stream.write(`${text}\n`);
  };
  const heard = (): void => {
    stopSilence();
    stopSilence = clock.after(silenceDeadlineMs, () => cut(`silent for ${silenceDeadlineMs} ms`));
  };
  const beat = (): void => {
    stopHeartbeat = clock.after(heartbeatMs, () => {
      write('');
      beat();
    });
  };
  const read = lineReader(maxLineBytes, text => {
    if (over || why !== undefined) return;
    if (text.startsWith('!')) {
      tell(text.slice(1));
      finish();
    } else if (text !== '') handlers.line(text);
  });
  heard();
  beat();
  stream.on('data', (chunk: Buffer) => {
    if (over) return;
    heard();
    if (!read(chunk)) cut('a line is too long');
  });
  stream.on('end', () => {
    tell('the other side has closed');
    finish();
  });
  stream.on('error', cause => tell(cause.message));
  stream.on('close', () => {
    stopClosing();
    tell('the connection was lost');
  });
  return {
    send: write,
    close(reason) {
      if (over || why !== undefined) return;
      why = reason;
      write(`!${reason.replaceAll('\n', ' ')}`);
      finish();
    },
  };
}

/** Takes bytes as they come and gives whole lines (UTF-8, without their end); false once a line is longer than it may be. */
function lineReader(maxBytes: number, line: (text: string) => void): (chunk: Buffer) => boolean {
  let parts: Buffer[] = [];
  let bytes = 0;
  return chunk => {
    let rest = chunk;
    for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline)) {
      if (bytes + at > maxBytes) return false;
      const text = Buffer.concat([...parts, rest.subarray(0, at)]).toString('utf8');
      parts = [];
      bytes = 0;
      rest = rest.subarray(at + 1);
      line(text);
    }
    parts.push(rest);
    bytes += rest.length;
    return bytes <= maxBytes;
  };
}
