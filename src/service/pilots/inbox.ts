import type { Clock, StopTimer } from '../../platform/clock.ts';
import { TokenBucket } from '../../platform/token-bucket.ts';
import type { PilotConnection } from '../core/engine-api.ts';

/**
 * What pilots have sent and nobody has looked at yet. All of them share one writer with all
 * clients, so each takes only so much of it at a time, and only so much a second in the long run;
 * who sends more is not read on.
 *
 *   received ─► waiting ─► in hand (at most `mostInHand`, and as the account has left) ─► stored, or dropped
 *                  └─ any: the connection is paused ┘
 *
 * Invariant: messages are handled in the order in which they came. If we crash here: pilots come
 * back with what was not acknowledged.
 */

/** Of a connection in the writer at a time: clients' orders come in the next batch but one. */
const mostInHand = 32;
/** A node whose 256 VMs start at once says some thousand things, and is quiet for hours then. */
const rateOfNode = { perSecond: 20, burst: 2_000 };
/** One that comes and goes all the time has a bad network. */
const rateOfGoing = { perSecond: 0.1, burst: 16 };

/** What one node of a slot may send; it outlives connections. */
export class PilotAccount extends TokenBucket {
  /** How often the LRM is asked why it has gone. */
  readonly #goings: TokenBucket;
  /** How many reports it has made about VMs that are not its slot's. */
  strays = 0;

  /** `nodes`: how many nodes share it. */
  constructor(clock: Clock, nodes = 1) {
    super(clock, { ...rateOfNode, burst: rateOfNode.burst + 10 * (nodes - 1) });
    this.#goings = new TokenBucket(clock, rateOfGoing);
  }

  /** It has gone. Whether that is worth asking the LRM at once, and not at its next round. */
  isNewsForLrm(): boolean {
    const isNews = this.#goings.waitMs() === 0;
    if (isNews) this.#goings.spend(1);
    return isNews;
  }
}

/** The messages of one connection; see above. */
export class Inbox<Message> {
  readonly #clock: Clock;
  readonly #connection: Pick<PilotConnection, 'pause' | 'resume'>;
  readonly #account: () => PilotAccount;
  /** Resolves when the message is done with; never rejects. */
  readonly #handle: (message: Message) => Promise<void>;
  #waiting: { readonly message: Message; readonly cost: number }[] = [];
  #inHand = 0;
  #isPaused = false;
  #stopped = false;
  #stopTimer: StopTimer | undefined;

  constructor(
    clock: Clock,
    connection: Pick<PilotConnection, 'pause' | 'resume'>,
    account: () => PilotAccount,
    handle: (message: Message) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#connection = connection;
    this.#account = account;
    this.#handle = handle;
  }

  put(message: Message, cost: number): void {
    if (this.#stopped) return;
    this.#waiting.push({ message, cost });
    this.#go();
  }

  /** What still waits is not looked at. */
  stop(): void {
    this.#stopped = true;
    this.#stopTimer?.();
    this.#waiting = [];
    this.#read();
  }

  #go(): void {
    while (!this.#stopped && this.#waiting.length > 0 && this.#inHand < mostInHand) {
      const account = this.#account();
      const waitMs = account.waitMs();
      if (waitMs > 0) {
        this.#later(waitMs);
        break;
      }
      const next = this.#waiting.shift();
      if (!next) break;
      account.spend(next.cost);
      this.#inHand += 1;
      void this.#handle(next.message).then(() => {
        this.#inHand -= 1;
        this.#go();
      });
    }
    if (this.#waiting.length > 0) this.#hold();
    else this.#read();
  }

  #later(waitMs: number): void {
    this.#stopTimer ??= this.#clock.after(waitMs, () => {
      this.#stopTimer = undefined;
      this.#go();
    });
  }

  #hold(): void {
    if (this.#isPaused || this.#stopped) return;
    this.#isPaused = true;
    this.#connection.pause?.();
  }

  #read(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection.resume?.();
  }
}
