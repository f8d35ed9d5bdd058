import { Duplex } from 'node:stream';

/** The most recent output that a new reader is shown first, so that it sees the prompt that waits for it. */
const tailBytes = 16 * 1024;
/** Output beyond this, when a reader does not keep up, is not kept for it: a console may print for days. */
const readerLimitBytes = 1024 * 1024;

/**
 * A serial console with at most one reader; output is taken from the guest also when nobody reads, so that it never waits for us.
 * A later reader replaces the earlier one, whose stream ends.
 */
export class ConsoleHub {
  readonly #toGuest: (chunk: Buffer, taken: () => void) => void;
  #tail = Buffer.alloc(0);
  #reader: Duplex | undefined;
  #ended = false;

  /** @param toGuest writes to the guest and calls `taken` when more may come. */
  constructor(toGuest: (chunk: Buffer, taken: () => void) => void) {
    this.#toGuest = toGuest;
  }

  /** Output of the guest. */
  feed(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-tailBytes);
    if (this.#reader && this.#reader.readableLength < readerLimitBytes) this.#reader.push(chunk);
  }

  /** The guest is gone: the reader's stream ends. */
  end(): void {
    this.#ended = true;
    this.#reader?.push(null);
    this.#reader = undefined;
  }

  /** A stream to the console; after the guest's end, one that carries the last output and ends. */
  open(): Duplex {
    this.#reader?.push(null);
    const reader: Duplex = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, taken) => {
        if (this.#reader === reader) this.#toGuest(chunk, () => taken());
        else taken();
      },
      destroy: (cause, done) => {
        if (this.#reader === reader) this.#reader = undefined;
        done(cause);
      },
    });
    if (this.#tail.length > 0) reader.push(this.#tail);
    if (this.#ended) reader.push(null);
    else this.#reader = reader;
    return reader;
  }
}
