import type { Duplex } from 'node:stream';
import type { Clock, StopTimer } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { type Link, type LinkHandlers, NotAcceptedError, type Transport } from './transport.ts';
import { formatDuration } from '../protocol/units.ts';

/** A transport and what the log calls it. */
export interface NamedTransport {
  readonly name: string;
  readonly transport: Transport;
}

/** The service answers a hello as soon as it is on disk there; a link on which nothing comes carries nothing. */
const firstWordDeadlineMs = 20_000;

/**
 * Several transports as one. Each `connect` tries them in order, from the one that worked last; a failed one is left for the next.
 *
 *   trying i ─┬─ no link ─────────────────────────► trying the next; after the last: rejected, and the session comes again
 *             └─ link ─┬─ the service's first word ─► works: the next connect begins with i
 *                      └─ ended before, or silent ──► the next connect begins with the one after i
 *
 * Nothing is kept here: what was not acknowledged over one link is in the session's journal, and goes over the next. A crash changes nothing.
 */
export function firstThatWorks(
  transports: readonly [NamedTransport, ...NamedTransport[]],
  clock: Clock,
  log: Log,
): Transport {
  const [only, ...others] = transports;
  return others.length === 0 ? only.transport : new Choice(transports, clock, log);
}

class Choice implements Transport {
  readonly #transports: readonly NamedTransport[];
  readonly #clock: Clock;
  readonly #log: Log;
  /** Where the next connect begins. */
  #begin = 0;
  /** Of the newest link: streams go the same way. */
  #current: NamedTransport;

  constructor(transports: readonly [NamedTransport, ...NamedTransport[]], clock: Clock, log: Log) {
    this.#transports = transports;
    this.#clock = clock;
    this.#log = log;
    [this.#current] = transports;
  }

  async connect(handlers: LinkHandlers): Promise<Link> {
    const failures: unknown[] = [];
    const begin = this.#begin;
    const order = [...this.#transports.entries()];
    for (const [index, one] of [...order.slice(begin), ...order.slice(0, begin)]) {
      try {
        return await this.#try(index, one, handlers);
      } catch (cause) {
        failures.push(cause);
        this.#log.warn('this transport cannot connect', { via: one.name, ...errorFields(cause) });
      }
    }
    this.#begin = begin;
    throw failures.find(cause => cause instanceof NotAcceptedError) ?? failures[0];
  }

  openStream(streamId: string): Promise<Duplex> {
    return this.#current.transport.openStream(streamId);
  }

  async #try(index: number, one: NamedTransport, handlers: LinkHandlers): Promise<Link> {
    let state: 'unproven' | 'works' | 'over' = 'unproven';
    let stopTimer: StopTimer = () => undefined;
    // Until it has been seen to work, it is not where the next connect begins.
    this.#begin = (index + 1) % this.#transports.length;
    const over = (why: string): void => {
      if (state === 'over') return;
      stopTimer();
      if (state === 'unproven') this.#log.warn('this transport does not carry', { via: one.name, why });
      state = 'over';
      handlers.closed(why);
    };
    const link = await one.transport.connect({
      message: message => {
        if (state === 'over') return;
        if (state === 'unproven') this.#log.info('connected', { via: one.name });
        state = 'works';
        this.#begin = index;
        stopTimer();
        handlers.message(message);
      },
      closed: over,
    });
    this.#current = one;
    stopTimer = this.#clock.after(firstWordDeadlineMs, () => {
      if (state !== 'unproven') return;
      // What is dead takes its time to close; nobody waits for that.
      over(`the service said nothing for ${formatDuration(firstWordDeadlineMs)}`);
      link.close();
    });
    return link;
  }
}
