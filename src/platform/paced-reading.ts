import type { Readable } from 'node:stream';
import type { Clock, StopTimer } from './clock.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/**
 * Reads a stream no faster than so many bytes a second: whoever writes more to it has to wait. It
 * must be read by `data`.
 */
export function paceReading(stream: Readable, clock: Clock, bytes: Rate): void {
  const bucket = new TokenBucket(clock, bytes);
  let stop: StopTimer = () => undefined;
  stream.on('data', (chunk: Buffer) => {
    bucket.spend(chunk.length);
    const waitMs = bucket.waitMs();
    if (waitMs === 0) return;
    stream.pause();
    stop = clock.after(waitMs, () => stream.resume());
  });
  stream.on('close', () => stop());
}
