import type { Clock, StopTimer } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { type Link, type LinkHandlers, NotAcceptedError, type Transport } from './transport.ts';

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
  if (others.length === 0) return only.transport;
  let begin = 0;
  /** Of the newest link: streams go the same way. */
  let current = only;

  const prove = async (index: number, handlers: LinkHandlers): Promise<Link> => {
    const chosen = transports[index] ?? only;
    let state: 'unproven' | 'works' | 'over' = 'unproven';
    let stopTimer: StopTimer = () => undefined;
    // Until it has been seen to work, it is not where the next connect begins.
    begin = (index + 1) % transports.length;
    const over = (why: string): void => {
      if (state === 'over') return;
      stopTimer();
      if (state === 'unproven') log.warn('this transport does not carry', { via: chosen.name, why });
      state = 'over';
      handlers.closed(why);
    };
    const link = await chosen.transport.connect({
      message(message) {
        if (state === 'over') return;
        if (state === 'unproven') log.info('connected', { via: chosen.name });
        state = 'works';
        begin = index;
        stopTimer();
        handlers.message(message);
      },
      closed: over,
    });
    const silent = (): void => {
      // What is dead takes its time to close; nobody waits for that.
      over(`nothing came for ${firstWordDeadlineMs} ms`);
      link.close();
    };
    stopTimer = clock.after(firstWordDeadlineMs, () => state === 'unproven' && silent());
    current = chosen;
    return link;
  };

  return {
    async connect(handlers) {
      const failures: unknown[] = [];
      const first = begin;
      for (let step = 0; step < transports.length; step++) {
        const index = (first + step) % transports.length;
        try {
          return await prove(index, handlers);
        } catch (cause) {
          failures.push(cause);
          log.warn('this transport cannot connect', { via: transports[index]?.name, ...errorFields(cause) });
        }
      }
      begin = first;
      throw failures.find(cause => cause instanceof NotAcceptedError) ?? failures[0];
    },
    openStream: streamId => current.transport.openStream(streamId),
  };
}
