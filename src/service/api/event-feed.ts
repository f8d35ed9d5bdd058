import type { Clock } from '../../platform/clock.ts';
import type { EventView } from '../../protocol/api.ts';
import type { Caller } from '../access/accounts.ts';
import type { Engine, StoredEvent } from '../core/engine-api.ts';
import { Shares } from '../access/shares.ts';
import { eventView } from './views.ts';
import { MadeOnce } from './made-once.ts';
import { maySee } from './owners.ts';
import { RecentEvents } from './recent-events.ts';
import { Turns } from './turns.ts';

/** The longest that one long poll waits. */
export const maxWaitMs = 30_000;
/** Long polls that may wait at the same time; one more is told to come back. */
const waiting = { all: 512, each: 64 };
/** Most events that are looked at in one go: nobody else is answered meanwhile. */
const scanLimit = 200;

/** Which events, for whom, and how long to wait (milliseconds) when there is none. */
export interface EventQuery {
  /** Who asks, as they are at that moment. What it throws ends the page. */
  readonly caller: () => Caller;
  readonly workspaceId: string | undefined;
  /** Only events of these. Absent: all. */
  readonly types?: readonly string[] | undefined;
  readonly after: number;
  readonly waitMs: number;
  readonly limit: number;
}

/** The history as clients read it. */
export type EventFeed = ReturnType<typeof eventFeed>;

/** The feed over the engine's history. */
export function eventFeed(engine: Engine, clock: Clock) {
  const closing = new AbortController();
  const recent = new RecentEvents(engine);
  const read = pageReader(recent, clock);
  const waiters = new Shares('clients wait for events', waiting);

  return {
    /**
     * Events that the user may see; waits for the first until `waitMs` are over, `gone` is aborted
     * or the service stops.
     */
    async page(query: EventQuery, gone: AbortSignal): Promise<{ events: EventView[]; next: number }> {
      const news = watchNews(engine);
      const late = new AbortController();
      const stopTimer = clock.after(query.waitMs, () => late.abort());
      const enough = AbortSignal.any([late.signal, gone, closing.signal]);
      try {
        let after = query.after;
        for (;;) {
          const seen = news.count();
          const answer = await read({ ...query, after }, gone);
          after = answer.next;
          if (answer.events.length > 0 || query.waitMs === 0 || enough.aborted) return answer;
          const giveBack = waiters.take(query.caller().user);
          await news.since(seen, enough).finally(giveBack);
        }
      } finally {
        news.stop();
        stopTimer();
      }
    },

    /** Answers everyone who waits, now and from now on. */
    close: () => {
      recent.close();
      closing.abort();
    },
    closed: () => closing.signal.aborted,
  };
}

/** Reads a page; `next` passes over what the user may not see. The store is read in their turn. */
function pageReader(recent: RecentEvents, clock: Clock) {
  const turns = new Turns(clock);
  const views = new MadeOnce<EventView>();
  const viewOf = (event: StoredEvent): EventView => views.of(event.seq, () => eventView(event));
  return async (
    { caller, workspaceId, types, after, limit }: EventQuery,
    gone: AbortSignal,
  ): Promise<{ events: EventView[]; next: number }> => {
    let next = after;
    for (;;) {
      const query = {
        after: next,
        limit: workspaceId === undefined ? scanLimit : limit,
        ...(workspaceId === undefined ? {} : { workspaceId }),
        ...(types === undefined ? {} : { types }),
      };
      const look = (): ReturnType<Engine['events']> => recent.read(query);
      const found = recent.has(next) ? await look() : await turns.take(caller().user, look);
      const who = caller();
      const seen = found.filter(event => maySee(who, event)).slice(0, limit);
      const full = seen.length === limit;
      next = (full ? seen.at(-1)?.seq : found.at(-1)?.seq) ?? next;
      if (seen.length > 0 || found.length < query.limit || gone.aborted)
        return { events: seen.map(viewOf), next };
    }
  };
}

/** The history of some workspaces. */
export async function readAll(
  engine: Pick<Engine, 'events'>,
  which: Omit<Parameters<Engine['events']>[0], 'after' | 'limit'>,
): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (;;) {
    const page = await engine.events({ after: events.at(-1)?.seq ?? 0, ...which, limit: scanLimit });
    events.push(...page);
    if (page.length < scanLimit) return events;
  }
}

/** Counts the engine's calls, so that news between reading and waiting is not slept through. */
function watchNews(engine: Engine) {
  let calls = 0;
  let wake: (() => void) | undefined;
  const stop = engine.onEvents(() => {
    calls += 1;
    wake?.();
  });
  return {
    stop,
    count: () => calls,
    since: (seen: number, enough: AbortSignal) =>
      new Promise<void>(resolve => {
        if (calls !== seen || enough.aborted) return resolve();
        wake = resolve;
        enough.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
}
