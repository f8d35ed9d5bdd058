import { Duplex } from 'node:stream';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { WspError } from '../../protocol/errors.ts';
import { formatDuration } from '../../protocol/units.ts';

/** The longest that one request waits: less than the minute, or the half of one, after which proxies give up. */
const maxWaitMs = 25_000;
/** A pilot whose requests wait no longer than that is gone when nothing is heard of it for so long. */
const silenceDeadlineMs = 60_000;
/** After its connection has broken: longer than it goes on trying (`src/pilot/http-pipe.ts`). */
const comeBackDeadlineMs = 2_000;
const nothing = Buffer.alloc(0);

/**
 * A byte stream to a pilot that can make nothing but HTTP requests: it brings its bytes (`receive`) and asks for ours (`give`). Both directions count their
 * bytes from 0, and their end as one more, as TCP does with FIN (RFC 9293 §3.4): a request whose answer was lost is made again and changes nothing.
 *
 *   open ─► both ends acknowledged ─► closed, orderly
 *     └──► destroyed by either side, or nothing heard for too long ─► closed: a request that waits, and every later one, is told why
 *
 * Invariants: what was given is kept until a later request acknowledges it; of two requests of one kind that wait, the newer one is the pilot's. If we crash
 * here: the pilot finds no such pipe and opens another; what it brings then is the journal's business.
 */
export class PilotPipe extends Duplex {
  readonly #clock: Clock;
  /** Ours that were not acknowledged; the first of them is number `#givenFrom`. */
  #out: Buffer = nothing;
  #givenFrom = 0;
  #ourEnd: 'not yet' | 'to give' | 'acknowledged' = 'not yet';
  #whenAcknowledged: () => void = () => undefined;
  /** How many of theirs we have. */
  #taken = 0;
  #theirEnd = false;
  #full = false;
  /** How often we were asked for bytes. */
  #asked = 0;
  readonly #giving = new Turn();
  readonly #taking = new Turn();
  #stopSilence: StopTimer = () => undefined;
  #why = 'it was closed';

  constructor(clock: Clock) {
    super({ allowHalfOpen: true });
    this.#clock = clock;
    this.#expectWithin(silenceDeadlineMs);
  }

  /**
   * Takes bytes that begin at number `at`, and then, if `ends`, their end. Resolves with the number of the next one wanted; holds the request back
   * while whoever reads the stream does not. Throws `WspError` (`conflict`): closed, or bytes before these are missing.
   */
  async receive(at: number, bytes: Buffer, ends: boolean): Promise<number> {
    if (this.#theirEnd) return this.#taken + 1;
    this.#heard();
    if (at > this.#taken) throw new WspError('conflict', `bytes from ${this.#taken} on are missing`);
    if (this.#full && !(await this.#taking.wait(this.#clock))) return this.#taken;
    this.#refuseClosed();
    const fresh = bytes.subarray(this.#taken - at);
    this.#taken += fresh.length;
    if (fresh.length > 0) {
      this.#full = true;
      if (this.push(fresh)) this.#full = false;
    }
    if (!ends) return this.#taken;
    this.#theirEnd = true;
    this.push(null);
    return this.#taken + 1;
  }

  /**
   * Forgets what comes before number `after`, then gives what follows, at most `maxBytes`; waits for it for a while. With `maxBytes` 0 it only hears that
   * the pilot lives. `broken`: the request's connection is gone; then the pilot comes back at once, or never. Throws `WspError` (`conflict`): closed, or no
   * such number.
   */
  async give(
    after: number,
    maxBytes: number,
    broken?: AbortSignal,
  ): Promise<{ readonly bytes: Buffer; readonly ends: boolean }> {
    if (this.#ourEnd !== 'acknowledged') {
      this.#heard();
      this.#asked += 1;
      const mine = this.#asked;
      broken?.addEventListener('abort', () => {
        // A newer request is the pilot's sign of life, however late the end of this one's connection is seen.
        if (mine === this.#asked && !this.destroyed) this.#expectWithin(comeBackDeadlineMs);
      });
      this.#acknowledge(after);
      const idle = this.#out.length === 0 && this.#ourEnd === 'not yet';
      if (maxBytes > 0 && idle && (await this.#giving.wait(this.#clock))) this.#refuseClosed();
    }
    const bytes = this.#out.subarray(0, maxBytes);
    return { bytes, ends: this.#ourEnd !== 'not yet' && bytes.length === this.#out.length };
  }

  /** Closes for both sides at once, whatever is on the way. */
  closeBecause(why: string): void {
    this.destroy(new Error(why));
  }

  #acknowledge(after: number): void {
    const end = this.#givenFrom + this.#out.length;
    const last = this.#ourEnd === 'to give' ? end + 1 : end;
    if (after < this.#givenFrom || after > last)
      throw new WspError('conflict', `after: ${after} is not from ${this.#givenFrom} to ${last}`);
    this.#out = this.#out.subarray(after - this.#givenFrom);
    this.#givenFrom = Math.min(after, end);
    if (after > end) this.#ourEnd = 'acknowledged';
    if (this.#out.length > 0 || this.#ourEnd === 'to give') return;
    const acknowledged = this.#whenAcknowledged;
    this.#whenAcknowledged = () => undefined;
    acknowledged();
  }

  #heard(): void {
    this.#refuseClosed();
    this.#expectWithin(silenceDeadlineMs);
  }

  #refuseClosed(): void {
    if (this.destroyed) throw new WspError('conflict', `the pipe is closed: ${this.#why}`);
  }

  #expectWithin(deadlineMs: number): void {
    this.#stopSilence();
    this.#stopSilence = this.#clock.after(deadlineMs, () =>
      this.closeBecause(`nothing was heard of the pilot for ${formatDuration(deadlineMs)}`),
    );
  }

  override _read(): void {
    this.#full = false;
    this.#taking.over();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#out = chunk;
    this.#whenAcknowledged = done;
    this.#giving.over();
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: () => void): void {
    this.#ourEnd = 'to give';
    this.#whenAcknowledged = done;
    this.#giving.over();
  }

  override _destroy(cause: Error | null, done: (cause: Error | null) => void): void {
    if (cause) this.#why = cause.message;
    this.#stopSilence();
    this.#giving.over();
    this.#taking.over();
    done(cause);
  }
}

/** The place of the one request of a kind that waits. */
class Turn {
  #settle: ((came: boolean) => void) | undefined;

  /** Resolves with true at `over`; false when that did not come in time, or another waits instead. */
  wait(clock: Clock): Promise<boolean> {
    this.#settle?.(false);
    return new Promise(resolve => {
      const settle = (came: boolean): void => {
        stopTimer();
        if (this.#settle === settle) this.#settle = undefined;
        resolve(came);
      };
      const stopTimer = clock.after(maxWaitMs, () => settle(false));
      this.#settle = settle;
    });
  }

  over(): void {
    this.#settle?.(true);
  }
}
