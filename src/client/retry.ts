import { WspError } from '../protocol/errors.ts';

const firstPauseMs = 250;
const longestPauseMs = 2_000;

/** How to let time pass. */
export type Pause = (delayMs: number) => Promise<void>;

/**
 * Tries again while the service cannot be reached: it may be starting again. `stop` ends it, with
 * the last failure; without `pause` the first one does.
 */
export async function keepTrying<Data>(
  read: () => Promise<Data>,
  stop: AbortSignal,
  pause: Pause | undefined,
): Promise<Data> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await read();
    } catch (cause) {
      const isGone = cause instanceof WspError && cause.code === 'service_unreachable';
      if (!pause || !isGone || stop.aborted) throw cause;
      await pause(pauseMs);
    }
  }
}
