import type { Duplex } from 'node:stream';
import type { Clock, StopTimer } from './clock.ts';
import { Lines } from './lines.ts';
import { formatDuration } from '../protocol/units.ts';

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
  /** Stops reading: the other end has to wait, and its silence is no sign until `resume`. */
  pause(): void;
  resume(): void;
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

/** Lines over a stream, which is the link's from now on. */
export function lineLink(stream: Duplex, clock: Clock, handlers: LineHandlers): LineLink {
  return new Link(stream, clock, handlers);
}

class Link implements LineLink {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #handlers: LineHandlers;
  /** Ours for closing. */
  #why: string | undefined;
  #over = false;
  #stopHeartbeat: StopTimer = () => undefined;
  #stopSilence: StopTimer = () => undefined;
  #stopClosing: StopTimer = () => undefined;

  constructor(stream: Duplex, clock: Clock, handlers: LineHandlers) {
    this.#stream = stream;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#heard();
    this.#beat();
    const lines = new Lines(
      maxLineBytes,
      text => this.#read(text),
      () => this.#cut('a line is too long'),
    );
    stream.on('data', (chunk: Buffer) => {
      if (this.#over) return;
      this.#heard();
      lines.push(chunk);
    });
    stream.on('end', () => {
      this.#tell('the other side has closed');
      this.#end();
    });
    stream.on('error', cause => this.#tell(cause.message));
    stream.on('close', () => {
      this.#stopClosing();
      this.#tell('the connection was lost');
    });
  }

  send(text: string): void {
    const unsent = this.#stream.writableLength;
    if (this.#over || this.#why !== undefined || !this.#stream.writable) return;
    if (unsent > maxUnsentBytes) this.#cut(`${unsent} bytes wait to be read`);
    else this.#stream.write(`${text}\n`);
  }

  close(why: string): void {
    if (this.#over || this.#why !== undefined) return;
    this.send(`!${why.replaceAll('\n', ' ')}`);
    this.#why = why;
    this.#end();
  }

  pause(): void {
    this.#stopSilence();
    this.#stream.pause();
  }

  resume(): void {
    if (this.#over) return;
    this.#heard();
    this.#stream.resume();
  }

  #read(text: string): void {
    if (this.#over || this.#why !== undefined) return;
    if (text.startsWith('!')) {
      this.#tell(text.slice(1));
      this.#end();
    } else if (text !== '') this.#handlers.line(text);
  }

  #tell(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopHeartbeat();
    this.#stopSilence();
    this.#handlers.closed(this.#why ?? why);
  }

  #cut(why: string): void {
    this.#why ??= why;
    this.#stream.destroy();
  }

  #end(): void {
    this.#stopClosing();
    this.#stopClosing = this.#clock.after(closeDeadlineMs, () => this.#stream.destroy());
    this.#stream.end();
  }

  #heard(): void {
    this.#stopSilence();
    this.#stopSilence = this.#clock.after(silenceDeadlineMs, () =>
      this.#cut(`silent for ${formatDuration(silenceDeadlineMs)}`),
    );
  }

  #beat(): void {
    this.#stopHeartbeat = this.#clock.after(heartbeatMs, () => {
      this.send('');
      this.#beat();
    });
  }
}
