import { StringDecoder } from 'node:string_decoder';

/** Cuts a byte stream into lines, with a limit: what comes from a guest or another program may never end its line. */
export class Lines {
  readonly #limitBytes: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  /** What comes up to the next line feed is of a line that was too long. */
  #isForgetting = false;

  constructor(limitBytes: number, onLine: (line: string) => void) {
    this.#limitBytes = limitBytes;
    this.#onLine = onLine;
  }

  /** Takes the next bytes. How many lines are too long: each told once, forgotten up to its end. */
  push(chunk: Buffer): number {
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = parts.pop() ?? '';
    let tooLong = 0;
    for (const part of parts) {
      if (this.#isForgetting) this.#isForgetting = false;
      else if (part.length > this.#limitBytes) tooLong += 1;
      else this.#onLine(part.replace(/\r$/, ''));
    }
    if (!this.#isForgetting && this.#rest.length > this.#limitBytes) {
      this.#isForgetting = true;
      tooLong += 1;
    }
    if (this.#isForgetting) this.#rest = '';
    return tooLong;
  }
}
