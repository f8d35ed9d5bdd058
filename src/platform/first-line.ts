import type { Duplex } from 'node:stream';

const newline = 0x0a;

/**
 * The first line of a stream that is `wanted`; those before it are passed over (a shell's start files may print some). What follows stays in the stream,
 * unread. Rejects when the stream ends before, and after `maxBytes`. Destroy the stream to give up.
 */
export function firstLine(
  stream: Duplex,
  maxBytes: number,
  wanted: (text: string) => boolean,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let passed = 0;
    let begun = Buffer.alloc(0);
    const stop = (): void => {
      stream.off('readable', read).off('end', ended).off('error', failed).off('close', ended);
    };
    const failed = (cause: Error): void => {
      stop();
      reject(cause);
    };
    const ended = (): void => failed(new Error('it ended without saying what was expected'));
    const read = (): void => {
      for (let chunk = stream.read() as Buffer | null; chunk; chunk = stream.read() as Buffer | null) {
        begun = Buffer.concat([begun, chunk]);
        for (let at = begun.indexOf(newline); at >= 0; at = begun.indexOf(newline)) {
          const text = begun.subarray(0, at).toString('utf8');
          begun = begun.subarray(at + 1);
          passed += at + 1;
          if (!wanted(text)) continue;
          stop();
          if (begun.length > 0) stream.unshift(begun);
          return resolve(text);
        }
        if (passed + begun.length > maxBytes)
          return failed(new Error('what it says is not what was expected'));
      }
    };
    stream.on('readable', read).on('end', ended).on('error', failed).on('close', ended);
  });
}
