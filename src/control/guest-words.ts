import type { Clock, StopTimer } from '../platform/clock.ts';
import type { VmReport } from '../protocol/pilot.ts';

/**
 * What a guest says of its set-up, told on with bounds: a guest may say what it likes, as often as
 * it likes, and each word that is told is written on the node's disk, sent, and stored by the
 * service.
 *
 *   first word ─► told at once ─► for a second only the newest is kept ─► told, if it is another ─► …
 *                                              after `mostWords` of one run: told that no more is, and silence
 */
export type GuestWord = Pick<VmReport, 'context' | 'reason'>;

const restMs = 1_000;
/** Of one run of a VM: a set-up that fails, and what its user tries until it does not, is a few. */
export const mostWords = 32;

const unsteady: GuestWord = {
  context: 'error',
  reason: {
    code: 'context_unsteady',
    message: `the guest has reported its set-up ${mostWords} times; further reports are ignored until it starts again`,
  },
};

/** The words of one run of a VM. */
export class GuestWords {
  readonly #clock: Clock;
  readonly #tell: (word: GuestWord) => void;
  #last: GuestWord | undefined;
  #newest: GuestWord | undefined;
  #count = 0;
  #rests = false;
  #stop: StopTimer = () => undefined;

  constructor(clock: Clock, tell: (word: GuestWord) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  hear(word: GuestWord): void {
    this.#newest = word;
    if (!this.#rests) this.#tellNewest();
  }

  /** The run is over: nothing is told any more. */
  end(): void {
    this.#stop();
    this.#rests = true;
  }

  #tellNewest(): void {
    const newest = this.#newest;
    if (newest === undefined || isSame(newest, this.#last)) return;
    this.#count += 1;
    this.#rests = true;
    if (this.#count <= mostWords) {
      this.#last = newest;
      this.#stop = this.#clock.after(restMs, () => {
        this.#rests = false;
        this.#tellNewest();
      });
    }
    this.#tell(this.#count > mostWords ? unsteady : newest);
  }
}

function isSame(one: GuestWord, other: GuestWord | undefined): boolean {
  return one.context === other?.context && one.reason?.message === other.reason?.message;
}
