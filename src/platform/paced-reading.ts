import type { Readable } from 'node:stream';
import type { Clock, StopTimer } from './clock.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** Reads a stream (by `data`) at so many bytes a second at most: who writes more has to wait. */
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
