import { StringDecoder } from 'node:string_decoder';

/** Cuts a byte stream into lines, with a limit: what comes from a guest or another program may never end its line. */
export class Lines {
  readonly #limitBytes: number;
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  readonly #decoder = new StringDecoder('utf8');
  #begun = '';
  #bytes = 0;

  /** @param onTooLong is told once of each such line, as soon as that is clear; it is no line then. */
  constructor(limitBytes: number, onLine: (line: string) => void, onTooLong: () => void = () => undefined) {
    this.#limitBytes = limitBytes;
    this.#onLine = onLine;
    this.#onTooLong = onTooLong;
  }

  /** Takes the next bytes. */
  push(chunk: Buffer): void {
    const [first = '', ...others] = this.#decoder.write(chunk).split('\n');
    this.#goOn(first);
    for (const part of others) {
      if (!this.#isTooLong()) this.#onLine(this.#begun.replace(/\r$/, ''));
      this.#begun = '';
      this.#bytes = 0;
      this.#goOn(part);
    }
  }

  #goOn(part: string): void {
    if (this.#isTooLong()) return;
    this.#begun += part;
    this.#bytes += Buffer.byteLength(part);
    if (!this.#isTooLong()) return;
    this.#begun = '';
    this.#onTooLong();
  }

  #isTooLong(): boolean {
    return this.#bytes > this.#limitBytes;
  }
}
