import type { Readable } from 'node:stream';
import type { Clock } from '../../platform/clock.ts';
import { Lines } from '../../platform/lines.ts';
import { formatDuration } from '../../protocol/units.ts';

/** A request is a few hundred bytes; VXLAN peers make it some kilobytes. */
const longestLine = 262_144;
/** Far more than a slot's VMs can ask for. */
const mostRequests = 100_000;
/** A pilot asks as soon as it is greeted; one that was stopped meanwhile starts another helper. */
const firstRequestMs = 60_000;

/** What is done with what a helper's caller writes. */
export interface InputParts {
  readonly clock: Clock;
  /** Carries out a request. Resolves with whether more are wanted. */
  readonly answer: (line: string) => Promise<boolean>;
  /** Answers what is no request. */
  readonly refuse: (message: string) => void;
  /** Whether the slot has something on the node, of an earlier helper's say. */
  readonly holdsSlot: () => boolean;
}

/**
 * Reads requests until the input closes, no more are wanted, or there are too many; the next chunk
 * is read when the last one's requests are done. A helper that nobody asks anything, and whose slot
 * has nothing on the node, is of no use to anybody: that ends too. Rejects with why the input broke.
 */
export async function serveInput(input: Readable, parts: InputParts): Promise<void> {
  const waiting: string[] = [];
  const lines = new Lines(
    longestLine,
    line => waiting.push(line),
    () => parts.refuse(`a line is longer than ${longestLine} bytes`),
  );
  let served = 0;
  const stopTimer = parts.clock.after(firstRequestMs, () => {
    if (served > 0 || parts.holdsSlot()) return;
    input.destroy(new Error(`the helper received no request within ${formatDuration(firstRequestMs)}`));
  });
  try {
    for await (const chunk of input) {
      lines.push(chunk as Buffer);
      for (let line = waiting.shift(); line !== undefined; line = waiting.shift()) {
        served += 1;
        if (served > mostRequests) return parts.refuse(`more than ${mostRequests} requests`);
        if (!(await parts.answer(line))) return;
      }
    }
  } finally {
    stopTimer();
  }
}
