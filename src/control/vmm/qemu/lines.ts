import { StringDecoder } from 'node:string_decoder';

/** Cuts a byte stream into lines, with a limit: what comes from a guest or another program may never end its line. */
export class Lines {
  readonly #limitBytes: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(limitBytes: number, onLine: (line: string) => void) {
    this.#limitBytes = limitBytes;
    this.#onLine = onLine;
  }

  /** Takes the next bytes; false when a line was longer than the limit, which is forgotten, as far as it has come. */
  push(chunk: Buffer): boolean {
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = parts.pop() ?? '';
    const whole = parts.filter(({ length }) => length <= this.#limitBytes);
    for (const line of whole) this.#onLine(line.replace(/\r$/, ''));
    const isLong = this.#rest.length > this.#limitBytes;
    if (isLong) this.#rest = '';
    return !isLong && whole.length === parts.length;
  }
}
