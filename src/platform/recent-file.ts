import { type FileHandle, open, rename } from 'node:fs/promises';
import { appendOnly, olderOf } from './own-file.ts';

/** Of what waits while the disk is slower than the writer, the oldest is lost beyond this. */
const mostWaitingBytes = 64 * 1024;

/**
 * The newest part of a stream that may never end, in a file: `path`, made with mode 0600, and
 * `path.1`, which is what `path` was when it had half of the limit. What was there before is gone
 * on with. Nobody waits for the disk, and a disk that takes nothing is no error.
 */
export class RecentFile {
  readonly #path: string;
  readonly #longestBytes: number;
  #waiting = Buffer.alloc(0);
  #file: FileHandle | undefined;
  #fileBytes = 0;
  #writing: Promise<void> | undefined;
  #ended = false;

  /** @param limitBytes of both files together. */
  constructor(path: string, limitBytes: number) {
    this.#path = path;
    this.#longestBytes = limitBytes / 2;
  }

  /** Takes the next bytes; none after `end`. */
  write(chunk: Buffer): void {
    if (this.#ended) return;
    this.#waiting = Buffer.concat([this.#waiting, chunk]).subarray(
      -Math.min(mostWaitingBytes, this.#longestBytes),
    );
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when nothing is written any more, nor made, in the file's directory. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#writing;
    await this.#close();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const chunk = this.#waiting;
      this.#waiting = Buffer.alloc(0);
      // The disk may be full, and there is nowhere else to say it.
      await this.#append(chunk).catch(() => undefined);
    }
  }

  async #append(chunk: Buffer): Promise<void> {
    const file = await this.#withRoomFor(chunk.length);
    await file.appendFile(chunk);
    this.#fileBytes += chunk.length;
  }

  async #withRoomFor(bytes: number): Promise<FileHandle> {
    const file = this.#file ?? (await this.#open());
    if (this.#fileBytes + bytes <= this.#longestBytes) return file;
    await this.#close();
    await rename(this.#path, olderOf(this.#path));
    return this.#open();
  }

  async #open(): Promise<FileHandle> {
    this.#file = await open(this.#path, appendOnly, 0o600);
    this.#fileBytes = (await this.#file.stat()).size;
    return this.#file;
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
