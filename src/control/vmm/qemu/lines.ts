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

  /** Takes the next bytes; false when an unfinished line has become longer than the limit, which forgets it. */
  push(chunk: Buffer): boolean {
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const line of parts) this.#onLine(line.replace(/\r$/, ''));
    if (this.#rest.length <= this.#limitBytes) return true;
    this.#rest = '';
    return false;
  }
}
