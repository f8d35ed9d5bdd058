import type { Duplex } from 'node:stream';
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import { WspError } from '../../protocol/errors.ts';
import type { ServiceMessage, StreamTarget } from '../../protocol/pilot.ts';
import { formatDuration } from '../../protocol/units.ts';

/** Byte streams that pilots have been asked for and that have not arrived. In memory only: a crash takes their clients along. */
interface Expected {
  readonly slotId: string;
  readonly node: string;
  readonly arrived: (stream: Duplex) => void;
  readonly failed: (error: WspError) => void;
}

const deadlineMs = 10_000;
const limit = 256;
const idBytes = 16;

/** Brings a stream that a pilot opens to the client that asked for it. */
export class StreamWaitingRoom {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #expected = new Map<string, Expected>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Asks the pilot behind `send` for a stream. Rejects with `WspError`: `busy`, `timeout`, `unreachable` (also: the pilot said why not). */
  open(
    slotId: string,
    node: string,
    target: StreamTarget,
    send: (message: ServiceMessage) => void,
  ): Promise<Duplex> {
    if (this.#expected.size >= limit)
      return Promise.reject(new WspError('busy', `${limit} streams are being opened already; try again`));
    const streamId = Buffer.from(this.#random.bytes(idBytes)).toString('base64url');
    return new Promise((resolve, reject) => {
      const stopTimer = this.#clock.after(deadlineMs, () =>
        this.#expected
          .get(streamId)
          ?.failed(
            new WspError(
              'timeout',
              `the pilot on ${node} did not open the stream within ${formatDuration(deadlineMs)}`,
            ),
          ),
      );
      const over = (tell: () => void): void => {
        this.#expected.delete(streamId);
        stopTimer();
        tell();
      };
      this.#expected.set(streamId, {
        slotId,
        node,
        arrived: stream => over(() => resolve(stream)),
        failed: error => over(() => reject(error)),
      });
      send({ type: 'open-stream', streamId, target });
    });
  }

  /** False: nobody waits for it, or another slot's pilot brings it. */
  accept(slotId: string, streamId: string, stream: Duplex): boolean {
    const expected = this.#expected.get(streamId);
    if (!expected || expected.slotId !== slotId) return false;
    expected.arrived(stream);
    return true;
  }

  refused(slotId: string, streamId: string, message: string): void {
    const expected = this.#expected.get(streamId);
    if (expected?.slotId === slotId) expected.failed(new WspError('unreachable', message));
  }

  /** The pilot has gone: what it was asked for will not come. */
  pilotGone(slotId: string, node: string): void {
    for (const expected of this.#expected.values())
      if (expected.slotId === slotId && expected.node === node)
        expected.failed(new WspError('unreachable', `the connection to the pilot on ${node} was lost`));
  }
}
