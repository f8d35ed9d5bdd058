import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import type { Clock, StopTimer } from '../platform/clock.ts';
import type { VmmStatistics, VmStatistics } from '../protocol/statistics.ts';

/** Between two lines, however fast somebody reads. */
const periodMs = 1_000;

/**
 * A VM's statistics (`VmStatistics`), a line of JSON a second. Nothing is measured that nobody
 * reads; the stream ends when the VMM cannot be asked any more.
 */
export function statisticsStream(
  clock: Clock,
  taps: readonly string[],
  ofVmm: () => Promise<VmmStatistics>,
): Duplex {
  let stopTimer: StopTimer = () => undefined;
  let nextMs = 0;
  const measure = async (): Promise<void> => {
    try {
      const line: VmStatistics = { at: clock.now(), ...(await ofVmm()), ...networkUse(taps) };
      stream.push(`${JSON.stringify(line)}\n`);
    } catch {
      // It has ended, or hangs: whoever watches sees that in the VM's state.
      stream.destroy();
    }
  };
  const stream = new Duplex({
    // One line is never waited for while another one waits to be read.
    readableHighWaterMark: 1,
    read: () => {
      const delayMs = Math.max(0, nextMs - clock.monotonicMs());
      nextMs = clock.monotonicMs() + delayMs + periodMs;
      stopTimer = clock.after(delayMs, () => void measure());
    },
    write: (_chunk, _encoding, done) => done(),
    destroy: (cause, done) => {
      stopTimer();
      done(cause);
    },
  });
  return stream;
}

/** A tap receives what its guest sends. Throws when one is not there. */
function networkUse(
  taps: readonly string[],
): Pick<VmStatistics, 'networkReceivedBytes' | 'networkSentBytes'> {
  // Of this process's own network; /sys may show another one's. proc(5) has the columns.
  const lines = readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/:?\s+/));
  const sum = (column: number): number =>
    taps.reduce((total, tap) => {
      const line = lines.find(([name]) => name === tap);
      if (!line) throw new Error(`there is no interface ${tap}`);
      return total + Number(line[column]);
    }, 0);
  return { networkReceivedBytes: sum(9), networkSentBytes: sum(1) };
}
