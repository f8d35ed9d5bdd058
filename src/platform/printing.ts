import { fstatSync, writeSync } from 'node:fs';

/**
 * What our programs print on standard output. Node writes to a pipe later than it says, and an exit
 * cuts off what is still to be written; into a file it writes
 * at once, and takes no notice when only a part fits. Here everything is written whole, in order,
 * at the reader's pace, or it is an error.
 *
 *   print ─► waits for what was printed before ─► written ─► … ─► exitWith: all of it is written, or the exit code is not 0
 */
let last: Promise<void> = Promise.resolve();

/** Standard output takes no more. That its reader has closed it is no failure: none is wanted. */
export class NotPrinted extends Error {
  override readonly name = 'NotPrinted';
  readonly readerGone: boolean;
  constructor(cause: NodeJS.ErrnoException) {
    super(`standard output cannot be written: ${cause.message}`, { cause });
    this.readerGone = cause.code === 'EPIPE' || cause.code === 'ECONNRESET';
  }
}

/** Prints a text after what was printed before; what becomes of it is told by `printed`. */
export function print(text: string | Uint8Array): void {
  last = last.then(() => writeWhole(process.stdout, text));
  // Told to who asks, and at the exit.
  last.catch(() => undefined);
}

/** Resolves when its reader has all that was printed. Rejects with `NotPrinted`. */
export function printed(): Promise<void> {
  return last;
}

/**
 * Ends the process when all that it has printed is written. What cannot be written is told on
 * standard error, after `program`, and the exit code is then not 0.
 */
export async function exitWith(code: number, program: string): Promise<never> {
  let exitCode = code;
  try {
    await printed();
  } catch (cause) {
    if (!(cause instanceof NotPrinted)) throw cause;
    if (!cause.readerGone) {
      exitCode ||= 1;
      process.stderr.write(`${program}: ${cause.message}\n`);
    }
  }
  // There is nowhere to tell that standard error cannot be written; the exit code tells what was to
  // be said there.
  await writeToStream(process.stderr, '').catch(() => undefined);
  process.exit(exitCode);
}

async function writeWhole(stream: typeof process.stdout, text: string | Uint8Array): Promise<void> {
  try {
    if (isFile(stream)) writeToFile(stream.fd, Buffer.from(text));
    else await writeToStream(stream, text);
  } catch (cause) {
    throw new NotPrinted(cause as NodeJS.ErrnoException);
  }
}

/** A file or device takes all or fails; Node's own stream ignores that a disk took only a part. */
function isFile(stream: typeof process.stdout): boolean {
  const stat = fstatSync(stream.fd);
  return stat.isFile() || (stat.isCharacterDevice() && !stream.isTTY);
}

function writeToFile(fd: number, bytes: Buffer): void {
  for (let from = 0; from < bytes.length; ) from += writeSync(fd, bytes, from);
}

/** Resolves when it is with its reader, not only in a buffer of ours. */
function writeToStream(stream: NodeJS.WritableStream, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    // A stream that fails also says so as an event, which ends a process that does not listen.
    stream.once('error', reject);
    stream.write(text, cause => {
      if (cause) return reject(cause);
      stream.off('error', reject);
      resolve();
    });
  });
}
