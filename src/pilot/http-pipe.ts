import { Duplex } from 'node:stream';
import { type Clock, pause } from '../platform/clock.ts';
import { pipeEndHeader, pipeNextHeader } from '../protocol/pipe.ts';
import type { Ask, HttpAnswer, HttpQuestion } from './http-ask.ts';
import { NotAcceptedError } from './transport.ts';

/**
 * The pilot's end of a pipe (`src/service/pilots/pipe.ts`): a byte stream made of requests. One at a time brings what was written; one at a time waits
 * for what comes. Bytes have numbers, so a request that failed is made again, and nothing is lost or doubled; after a few it is given up, and the
 * stream with it. Stateful only while it lasts.
 */
const openDeadlineMs = 10_000;
/** Longer than the service lets a request wait. */
const answerDeadlineMs = 35_000;
/** No answer at all for so long: the service, or the way to it, is gone. */
const silenceDeadlineMs = 45_000;
const closeDeadlineMs = 5_000;
const firstRetryMs = 100;
const longestRetryMs = 800;
/** A reader that does not read is no reason to be taken for dead. */
const showLifeMs = 20_000;
const maxRequestBytes = 512 * 1024;
const nothing = Buffer.alloc(0);
/** The service's own moments, and those of a proxy before it. */
const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** Opens a pipe; rejects with `NotAcceptedError` when the service does not take the secret. */
export async function openPipe(
  ask: Ask,
  clock: Clock,
  slotPath: string,
  what: string,
): Promise<{ readonly pipe: Duplex; readonly localAddress: string }> {
  const path = `${slotPath}${what}/pipes`;
  const answer = await ask({ method: 'POST', path, deadlineMs: openDeadlineMs, fresh: true });
  if (answer.status !== 200) throw refusal(answer);
  const { pipe: id } = jsonIn(answer) as { readonly pipe?: unknown };
  if (typeof id !== 'string') throw notOurs();
  const pipe = new HttpPipe(ask, clock, `${slotPath}/pipes/${encodeURIComponent(id)}`);
  return { pipe, localAddress: answer.localAddress };
}

class HttpPipe extends Duplex {
  readonly #ask: Ask;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #cut = new AbortController();
  #sent = 0;
  #received = 0;
  #polling = false;
  #paused = false;
  #wake: () => void = () => undefined;

  constructor(ask: Ask, clock: Clock, path: string) {
    super({ allowHalfOpen: true });
    this.#ask = ask;
    this.#clock = clock;
    this.#path = path;
  }

  override _write(chunk: Buffer, _encoding: string, done: (cause?: Error | null) => void): void {
    this.#bring(chunk, false).then(() => done(), done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (cause?: Error | null) => void,
  ): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: (cause?: Error | null) => void): void {
    this.#bring(nothing, true).then(() => done(), done);
  }

  override _read(): void {
    this.#paused = false;
    this.#wake();
    if (this.#polling) return;
    this.#polling = true;
    this.#poll().catch((cause: unknown) => this.destroy(cause as Error));
  }

  override _destroy(cause: Error | null, done: (cause: Error | null) => void): void {
    this.#cut.abort();
    this.#wake();
    // Best effort: the service closes what it hears nothing of.
    if (!this.readableEnded || !this.writableFinished)
      this.#ask({ method: 'DELETE', path: this.#path, deadlineMs: closeDeadlineMs }).catch(() => undefined);
    done(cause);
  }

  async #bring(bytes: Buffer, end: boolean): Promise<void> {
    const last = this.#sent + bytes.length;
    const until = end ? last + 1 : last;
    for (let left = bytes; this.#sent < until; left = bytes.subarray(bytes.length - (last - this.#sent))) {
      const body = left.subarray(0, maxRequestBytes);
      const ends = end && body.length === left.length;
      const path = `${this.#path}?at=${this.#sent}&end=${ends}`;
      const answer = await this.#persist({ method: 'POST', path, body });
      const next = Number(answer.headers[pipeNextHeader] ?? Number.NaN);
      if (!(next >= this.#sent && next <= this.#sent + body.length + 1)) throw notOurs();
      this.#sent = next;
    }
  }

  async #poll(): Promise<void> {
    for (let ends = false; !ends && !this.destroyed; ) {
      if (this.#paused) await this.#untilWanted();
      const max = this.#paused ? 0 : maxRequestBytes;
      const answer = await this.#persist({
        method: 'GET',
        path: `${this.#path}?after=${this.#received}&max=${max}`,
      });
      const end = answer.headers[pipeEndHeader];
      if (end === undefined) throw notOurs();
      this.#received += answer.body.length;
      this.#paused = this.#paused || answer.body.length > 0;
      if (answer.body.length > 0 && this.push(answer.body)) this.#paused = false;
      ends = end === '1' && max > 0;
    }
    if (this.destroyed) return;
    this.push(null);
    // That we have it all. Should this be lost, the service learns it from our own end, or not at all.
    const path = `${this.#path}?after=${this.#received + 1}&max=0`;
    await this.#persist({ method: 'GET', path }).catch(() => undefined);
  }

  /** Until the reader reads, or it is time to show that we live. */
  async #untilWanted(): Promise<void> {
    await new Promise<void>(resolve => {
      const stopTimer = this.#clock.after(showLifeMs, resolve);
      this.#wake = () => {
        stopTimer();
        resolve();
      };
    });
  }

  async #persist(question: Omit<HttpQuestion, 'deadlineMs'>): Promise<HttpAnswer> {
    const { signal } = this.#cut;
    const beganMs = this.#clock.monotonicMs();
    for (let retryMs = firstRetryMs; ; retryMs *= 2) {
      const leftMs = silenceDeadlineMs - (this.#clock.monotonicMs() - beganMs);
      const deadlineMs = Math.min(answerDeadlineMs, leftMs);
      const answer = await this.#ask({ ...question, signal, deadlineMs }).catch((cause: Error) => cause);
      const failed = answer instanceof Error;
      if (!failed && answer.status === 200) return answer;
      const passes = failed || passing.has(answer.status);
      const late =
        retryMs > longestRetryMs || this.#clock.monotonicMs() - beganMs + retryMs >= silenceDeadlineMs;
      if (!passes || late || signal.aborted) throw failed ? answer : refusal(answer);
      await pause(this.#clock, retryMs);
    }
  }
}

function notOurs(): Error {
  return new Error('what answered is not the service: is it a proxy?');
}

function refusal(answer: HttpAnswer): Error {
  const { status } = answer;
  if (status === 401) return new NotAcceptedError(status);
  const { error } = jsonIn(answer) as { readonly error?: { readonly message?: unknown } };
  const why = typeof error?.message === 'string' ? `: ${error.message}` : '';
  return new Error(`the service answered with HTTP status ${status}${why}`);
}

/** The answer's document; an empty one when it has none that is an object. */
function jsonIn({ body }: HttpAnswer): object {
  try {
    const value = JSON.parse(body.toString('utf8')) as unknown;
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
